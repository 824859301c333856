"""Words by which phones tell of a reaction, behind or around the text that they quote.

Apple and Google publish none of them. `DOCUMENTED` are those that stand in what others have seen:
in the table of Textra, an SMS app for Android that shows the reactions of iPhones (English, Dutch,
Danish, German, Italian, Norwegian, Spanish of Spain, Swedish, French), in exports of chats
(English, Spanish of America, Polish), and in bridges that read them (both ways of French,
Russian). `LIKELY` are those for which no source was found: a guess costs nothing, as a text is a
reaction only when it quotes a text of ours.
"""

from collections.abc import Mapping

Words = Mapping[str, tuple[str, ...]]

DOCUMENTED: Words = {
    "like": (
        "liked", "vond leuk", "syntes om", "gefällt", "ha aggiunto mi piace a", "likte", "le gusta",
        "le gustó", "gillade", "a ajouté un j aime à", "a aimé", "a attribué la mention j aime à",
        "a attribué la mention aime à", "polubiono", "понравилось",
    ),
    "love": (
        "loved", "gaf een hartje aan", "føjede et hjerte til", "ein herz hinzugefügt",
        "ha aggiunto un cuoricino a", "satte et hjerte ved", "le encanta", "le encantó",
        "gav ett hjärta till", "a ajouté un j adore à", "a adoré", "a attribué la mention adore à",
        "a attribué la mention j adore à",
    ),
    "dislike": (
        "disliked", "vond niet leuk", "syntes ikke om", "gefällt nicht",
        "ha aggiunto non mi piace a", "mislikte", "no le gusta", "ogillade",
        "a ajouté un je n aime pas à", "n a pas aimé", "a attribué la mention je n aime pas à",
        "a attribué la mention n aime pas à", "nie polubiono",
    ),
    "laugh": (
        "laughed at", "lachte om", "grinede af", "ein lachen hinzugefügt", "trova divertente",
        "lo av", "le hace gracia", "le dio risa", "se rió de", "le pareció gracioso",
        "skrattade åt", "a ajouté un rire à", "a ri de", "a attribué la mention rire à",
        "a attribué la mention haha à", "zaśmiano się z",
    ),
    "emphasis": (
        "emphasized", "emphasised", "benadrukte", "føjede udråbstegn til",
        "ein ausrufezeichen hinzugefügt", "ha aggiunto i punti esclamativi a",
        "satte utropstegn ved", "le sorprende", "exclamó por", "enfatizó", "betonade",
        "a ajouté des points d exclamation à", "a souligné",
        "a attribué la mention exclamation à", "a attribué la mention point d exclamation à",
        "podkreślono",
    ),
    "question": (
        "questioned", "zette een vraagteken bij", "føjede et spørgsmålstegn til",
        "ein fragezeichen hinzugefügt", "ha aggiunto il punto interrogativo a",
        "satte spørsmålstegn ved", "duda sobre", "dudó sobre", "satte ett frågetecken på",
        "a ajouté un point d interrogation à", "a attribué la mention question à",
        "a attribué la mention point d interrogation à", "zakwestionowano",
    ),
    "sticker": ("reacted with a sticker to",),
}  # fmt: skip

LIKELY: Words = {
    "like": (
        "le ha gustado", "aimé", "gefiel", "gefiel mir", "mag", "hat gefallen",
        "hat mit gefällt mir markiert", "piace", "ha messo mi piace a", "ha apprezzato", "curtiu",
        "gostou de", "vindt leuk", "synes godt om", "polubił", "polubiła", "polubił a",
        "にいいねしました", "赞了", "点赞了", "喜欢", "喜歡", "을 를 좋아합니다", "beğendi",
    ),
    "love": (
        "le ha encantado", "adoré", "liebt", "liebte", "ha amato", "ha adorato", "adora", "amou",
        "amei", "adorou", "hat geliebt", "hat mit einem herz markiert", "hat mit liebt markiert",
        "hat ein herz hinzugefügt", "vond geweldig", "vindt geweldig", "älskade", "elsket",
        "elskede", "uwielbiono", "в восторге от", "にハートを付けました", "が大好きです", "喜爱了",
        "을 를 사랑합니다", "bayıldı", "харесано",
    ),
    "dislike": (
        "no le gustó", "no le ha gustado", "mag nicht", "gefiel nicht",
        "hat mit gefällt mir nicht markiert", "non piace", "ha messo non mi piace a", "não curtiu",
        "não gostou de", "vindt niet leuk", "не понравилось", "によくないねしました", "踩了",
        "不喜欢", "beğenmedi",
    ),
    "laugh": (
        "se rio de", "le hizo gracia", "a ri à", "lacht über", "lachte über", "hat über gelacht",
        "hat ein lachen hinzugefügt", "ha riso a", "ha riso per", "ha riso di", "riu de",
        "achou graça de", "lacht om", "grinede ad", "засмеялся над", "засмеялась над", "смех над",
        "に笑いました", "笑了", "güldü",
    ),
    "emphasis": (
        "a insisté sur", "a mis en évidence", "s est exclamé e sur", "betont", "betonte",
        "hat betont", "hat ein ausrufezeichen hinzugefügt", "ha enfatizzato",
        "ha messo in evidenza", "ha evidenziato", "enfatizou", "deu ênfase a", "benadrukt",
        "выделил", "выделила", "を強調しました", "强调了", "vurguladı",
    ),
    "question": (
        "preguntó por", "cuestionó", "a questionné", "a interrogé", "s est interrogé e sur",
        "hinterfragt", "hinterfragte", "hat hinterfragt", "hat ein fragezeichen hinzugefügt",
        "ha messo in dubbio", "ha dubitato di", "ha chiesto di", "questionou", "twijfelde aan",
        "zet een vraagteken bij", "ifrågasatte", "поставил под вопрос", "に疑問を持ちました",
        "质疑了", "sorguladı",
    ),
}  # fmt: skip

TAKEN_BACK = (
    r"(?:removed|eliminó|quitó|ha eliminado|ha quitado|a supprimé|a retiré|entfernt|entfernte|"
    r"hat (?:.{1,40} )?entfernt|ha rimosso|removeu|verwijderde|tog bort|удалил|удалила|fjernede|"
    r"fjernet|liker ikke|misliker ikke|ya no|non trova più|премахнато|usunięto)\b.{0,40}|"
    r"(?:.{1,40} )?(?:von|aus) entfernt"
)
"""A pattern of the words by which one is taken back. Documented as above, but for `eliminó`,
`quitó`, `ha quitado`, `a supprimé`, `entfernte`, `hat … entfernt`, `removeu`, `удалил`,
`премахнато`."""

BESIDE_EMOJI = (
    r"(?:reacted(?: with)?|reaccionó con|a réagi(?: avec| par)?|a attribué la mention|"
    r"reagierte mit|hat mit|ha reagito con|reagiu com|reageerde met|reagerade med|отреагировал[а]?|"
    r"se ha reaccionado con|reagerte med|reagerede med|la til|реакция)?\s*"
    r"(?:to|a|à|zu|auf|reagiert|para|op|til|till|på|на|for|към)?"
)
"""A pattern of the words beside an emoji. Documented as above, but for `reagierte mit`, `reagiu
com`, `отреагировал`, `реакция`, `zu`, `para`."""

NAMED = (
    r"gefällt mir(?: nicht)?|liebt|(?:non )?mi piace|j.aime|aime|j.adore|adore|(?:je )?n.aime pas|"
    r"rire|haha|(?:point d.)?exclamation|(?:point d.)?(?:question|interrogation)|me gusta|いいね"
)
"""A pattern of what stands in quotes itself: A attribué la mention « Adore » à « … »."""
