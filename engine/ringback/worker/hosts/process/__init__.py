"""Processes of the plugins: the forkserver that imports them, and the hosts that it forks."""
