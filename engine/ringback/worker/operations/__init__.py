"""Operations of people on a running worker: who may do what, checked, carried out and noted."""
