"""Reactions of phones, which reach a number of ours as texts: `Liked “We are open Mon-Fri 9-17.”`.

An iPhone writes a verb, in its own language, and quotes the text; Google Messages and newer iPhones
write an emoji: `👍 to “We are open.”`. It is a reaction to us only when what it quotes is a text of
ours, which `to_ours` says: “Liked your place. Are you open on Monday?” is a text. Pure.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from ringback.keywords import folded, words


class Reaction(NamedTuple):
    """`kind` is `like`, `love`, `dislike`, `laugh`, `emphasis`, `question`, `sticker`, an emoji, or
    `removed`; `text` what is quoted, empty for a picture. Both are empty for any other text."""

    kind: str = ""
    text: str = ""


NONE = Reaction()
Written = tuple[str, bool]
"""A text of ours, and whether pictures were with it."""

_QUOTED = re.compile(
    r"(?P<before>[^\"“”„‟«»‹›「『」』״]{0,60})[\"“”„‟«»‹「『״](?P<text>.+)[\"“”‟»«›」』״]"
    r"(?P<after>[^\"“”„‟«»‹›「『」』״]{0,40})",
    re.DOTALL,
).fullmatch
_VERBS = {
    "like": (
        "liked", "le gustó", "le gusta", "le ha gustado", "a aimé", "aimé", "gefällt", "gefiel",
        "mag",
        "hat gefallen", "hat mit gefällt mir markiert", "piace", "ha messo mi piace a",
        "ha apprezzato", "curtiu", "gostou de", "vond leuk", "vindt leuk", "gillade",
        "likte", "synes godt om", "polubiono", "polubił", "polubiła", "polubił a",
        "понравилось", "にいいねしました", "赞了", "点赞了", "喜欢", "喜歡",
        "을 를 좋아합니다", "beğendi",
        "ha aggiunto mi piace a", "a ajouté un j aime à", "syntes om", "gefiel mir",
        "tykkäsi", "tykkää", "líbí se", "líbí se mi", "to se mi líbí", "označil a jako oblíbené",
        "του άρεσε", "της άρεσε", "του αρέσει", "του της αρέσει", "του της άρεσε", "μου αρέσει",
        "đã thích", "thích", "ถูกใจ", "กดถูกใจ", "ชอบ", "אהב ה את", "אהב ה", "אהב", "אהבה",
        "אהב את", "אהבה את", "سجل إعجابه بـ", "أبدى إعجابه بـ", "أعجبه", "أعجبها", "أعجبني",
        "tetszik", "tetszett neki", "i a plăcut", "îi place", "сподобалося", "вподобано",
        "menyukai", "suka", "páči sa", "páči sa mi", "svidjelo se", "sviđa se", "li ha agradat",
    ),
    "love": (
        "loved", "le encantó", "le encanta", "le ha encantado", "a adoré", "adoré", "liebt",
        "liebte", "ha amato", "ha adorato", "adora", "amou", "amei", "adorou", "hat geliebt",
        "hat mit einem herz markiert", "hat mit liebt markiert", "vond geweldig", "vindt geweldig",
        "älskade", "elsket", "elskede", "uwielbiono", "в восторге от", "にハートを付けました",
        "が大好きです", "喜爱了", "을 를 사랑합니다", "bayıldı",
        "gaf een hartje aan", "føjede et hjerte til", "hat ein herz hinzugefügt",
        "ein herz hinzugefügt",
        "ha aggiunto un cuoricino a", "satte et hjerte ved", "gav ett hjärta till",
        "a ajouté un j adore à", "харесано", "rakasti", "rakastaa", "miluje", "zamiloval a si",
        "το λάτρεψε", "λάτρεψε", "λατρεύει", "đã yêu thích", "yêu thích", "รัก", "หลงรัก",
        "אהב ה מאוד את", "אהב ה מאוד", "אהב מאוד", "אהבה מאוד", "أحب", "أحبت", "imádja",
        "a adorat", "îi place la nebunie", "обожнює", "mencintai", "menyayangi", "voli",
        "li ha encantat",
    ),
    "dislike": (
        "disliked", "no le gustó", "no le gusta", "no le ha gustado",
        "n a pas aimé", "mag nicht", "gefällt nicht", "gefiel nicht",
        "hat mit gefällt mir nicht markiert",
        "non piace", "ha messo non mi piace a", "não curtiu", "não gostou de", "vond niet leuk",
        "vindt niet leuk", "ogillade", "mislikte", "не понравилось", "によくないねしました",
        "踩了", "不喜欢", "beğenmedi",
        "ha aggiunto non mi piace a", "a ajouté un je n aime pas à", "syntes ikke om",
        "ei tykännyt", "ei tykkää", "nelíbí se", "nelíbí se mi", "to se mi nelíbí",
        "δεν του άρεσε", "δεν της άρεσε", "δεν του της άρεσε", "δεν του της αρέσει",
        "đã không thích", "không thích", "ไม่ถูกใจ", "ไม่ชอบ", "לא אהב ה את", "לא אהב ה",
        "לא אהב", "לא אהבה", "לא אהב את", "לא אהבה את", "لم يعجبه", "لم يعجبها", "لم يعجبني",
        "nem tetszik", "nem tetszett neki", "nu i a plăcut", "nu îi place", "не сподобалося",
        "tidak menyukai", "tidak suka", "nepáči sa", "nepáči sa mi", "no li ha agradat",
    ),
    "laugh": (
        "laughed at", "le dio risa", "se rió de", "se rio de", "le hizo gracia", "a ri de",
        "a ri à", "lacht über", "lachte über", "hat über gelacht", "ha riso a", "ha riso per",
        "ha riso di", "riu de", "achou graça de", "lachte om", "lacht om", "skrattade åt", "lo av",
        "grinede ad",
        "засмеялся над", "засмеялась над", "смех над", "に笑いました", "笑了", "güldü",
        "hat ein lachen hinzugefügt",
        "ein lachen hinzugefügt", "trova divertente", "le hace gracia",
        "a ajouté un rire à",
        "grinede af", "nauroi", "nauroi viestille", "nauraa", "zasmál a se", "směje se",
        "směje se zprávě", "γέλασε με", "γέλασε με το", "đã cười", "đã cười vì", "cười",
        "หัวเราะ", "หัวเราะกับ", "צחק ה על", "צחק על", "צחקה על", "ضحك على", "ضحكت على",
        "nevetett ezen", "a râs la", "сміється з", "menertawakan", "zasmial a sa",
    ),
    "emphasis": (
        "emphasized", "emphasised", "exclamó por", "enfatizó", "a insisté sur", "a mis en évidence",
        "s est exclamé e sur", "betont", "betonte", "hat betont", "ha enfatizzato",
        "ha messo in evidenza", "ha evidenziato", "enfatizou", "deu ênfase a", "benadrukte",
        "benadrukt", "betonade", "выделил", "выделила", "を強調しました", "强调了", "vurguladı",
        "føjede udråbstegn til", "hat ein ausrufezeichen hinzugefügt",
        "ein ausrufezeichen hinzugefügt",
        "ha aggiunto i punti esclamativi a", "satte utropstegn ved", "le sorprende",
        "a ajouté des points d exclamation à", "korosti", "painotti", "zdůraznil a", "zdůraznil",
        "έδωσε έμφαση σε", "έδωσε έμφαση στο", "τόνισε", "đã nhấn mạnh", "nhấn mạnh", "เน้น",
        "เน้นย้ำ", "הדגיש ה את", "הדגיש ה", "הדגיש", "הדגישה", "הדגיש את", "הדגישה את",
        "شدد على", "شددت على", "أكد على", "kiemelte", "a subliniat", "menekankan", "zdôraznil a",
    ),
    "question": (
        "questioned", "dudó sobre", "preguntó por", "cuestionó", "a questionné", "a interrogé",
        "s est interrogé e sur", "hinterfragt", "hinterfragte", "hat hinterfragt",
        "ha messo in dubbio", "ha dubitato di", "ha chiesto di", "questionou", "twijfelde aan",
        "zet een vraagteken bij", "ifrågasatte", "поставил под вопрос", "に疑問を持ちました",
        "质疑了", "sorguladı",
        "zette een vraagteken bij", "føjede et spørgsmålstegn til",
        "hat ein fragezeichen hinzugefügt",
        "ein fragezeichen hinzugefügt", "ha aggiunto il punto interrogativo a",
        "satte spørsmålstegn ved", "duda sobre", "satte ett frågetecken på",
        "a ajouté un point d interrogation à", "kyseenalaisti", "zpochybnil a", "zpochybnil",
        "αμφισβήτησε", "αμφισβήτησε το", "đã đặt câu hỏi", "đã đặt câu hỏi về", "đã nghi vấn",
        "สงสัย", "ตั้งคำถามกับ", "הטיל ה ספק ב", "הטיל ספק ב", "הטילה ספק ב",
        "تساءل عن", "تساءلت عن", "megkérdőjelezte", "a pus sub semnul întrebării",
        "mempertanyakan", "spochybnil a",
    ),
    "sticker": (
        "reacted with a sticker to", "reaccionó con un sticker a", "a réagi avec un sticker à",
        "reagierte mit einem sticker auf", "ha reagito con uno sticker a",
        "reagiu com uma figurinha a",
    ),
}  # fmt: skip
_INNER = re.compile(
    r"[\"“„«]\s*(gefällt mir(?: nicht)?|liebt|(?:non )?mi piace|j.aime|j.adore|je n.aime pas|"
    r"me gusta|いいね)\s*[\"“”»]"
)
"""A verb that is quoted itself: Hat „…“ mit „Gefällt mir“ markiert."""
_KINDS = {" ".join(words(verb)): kind for kind, verbs in _VERBS.items() for verb in verbs}
_TAKEN_BACK = re.compile(
    r"(?:removed|eliminó|quitó|ha eliminado|ha quitado|a supprimé|a retiré|entfernt|entfernte|"
    r"hat (?:.{1,40} )?entfernt|"
    r"ha rimosso|removeu|verwijderde|tog bort|удалил|удалила|"
    r"fjernede|fjernet|liker ikke|misliker ikke|ya no|non trova più|премахнато|poisti|"
    r"odstranil|odebral|αφαίρεσε|κατάργησε|đã xóa|đã xoá|đã gỡ|ลบ|เอาออก|הסיר|הסירה|أزال|أزالت|"
    r"eltávolította|a eliminat|видалив|видалила|видалено|menghapus|odstránil)\b.{0,40}|"
    r".{1,40} (?:von|aus) entfernt"
)
_EMOJI = {
    "\U0001f44d": "like", "\u2764": "love", "\u2665": "love", "\U0001f60d": "love",
    "\U0001f44e": "dislike", "\U0001f602": "laugh", "\U0001f923": "laugh", "\u203c": "emphasis",
    "!!": "emphasis", "\u2757": "emphasis", "\u2753": "question",
}  # fmt: skip
_BESIDE_EMOJI = re.compile(
    r"(?:reacted(?: with)?|reaccionó con|a réagi (?:avec|par)|reagierte mit|hat mit|"
    r"ha reagito con|reagiu com|reageerde met|reagerade med|отреагировал[а]?|"
    r"se ha reaccionado con|reagerte med|reagerede med|la til|реакция|reagoi|reagoi viestiin|"
    r"zareagoval|zareagoval a|αντέδρασε με|đã bày tỏ cảm xúc|đã phản ứng|"
    r"הגיב ה עם|הגיב עם|הגיבה עם|تفاعل بـ|تفاعلت بـ|відреагував|відреагувала|reagált)?\s*"
    r"(?:to|a|à|zu|auf|reagiert|para|na|op|til|till|på|на|for|към|viestiin|σε|στο|với|vào|"
    r"על|ל|على|إلى|erre)?"
)
_MEDIA = re.compile(
    r"(?P<verb>.{2,40}?) (?:an?|una?|une|uma?|ein(?:e[nm]?)?|een|un.) ?"
    r"(?:image|photo|picture|movie|video|attachment|gif|audio message|sticker|imagen|foto|imagem|"
    r"bild|immagine|afbeelding|vidéo|vídeo|pièce jointe|archivo adjunto|anhang)"
).fullmatch
_ELLIPSES = ("…", "...")
_TRIAL = words("Sent from your Twilio trial account -")
_LEAST_CUT = 2


@lru_cache(maxsize=256)
def parse(text: str) -> Reaction:
    """The reaction that a text has the form of; `NONE` for any other text."""
    if text.isascii() and '"' not in text and len(text) > 60:
        return NONE
    plain = _INNER.sub(r"\1", folded(text).strip())
    found = _QUOTED(plain)
    if found is not None:
        return Reaction(kind, found["text"].strip()) if (kind := _kind(found)) else NONE
    media = _MEDIA(plain.rstrip("."))
    if media is None:
        return NONE
    return Reaction(_verb(media["verb"]) or _by_emoji(media["verb"]))


def _kind(found: re.Match[str]) -> str:
    return _verb(f"{found['before']} {found['after']}") or _by_emoji(found["before"])


def _verb(said: str) -> str:
    plain = " ".join(words(said))
    return "removed" if _TAKEN_BACK.fullmatch(plain) else _KINDS.get(plain, "")


def _by_emoji(before: str) -> str:
    """The kind of `👍 to`, `Reacted 🎉 to`: an emoji with nothing but a word or two beside it."""
    shown = "".join(letter for letter in before if _is_emoji(letter))
    shown = shown or ("!!" if "!!" in before else "")
    beside = " ".join(words(before))
    if not shown or not _BESIDE_EMOJI.fullmatch(beside):
        return ""
    return _EMOJI.get(shown, _EMOJI.get(shown[0], shown))


def _is_emoji(letter: str) -> bool:
    return ord(letter) >= 0x1F000 or unicodedata.category(letter) == "So" or letter == "\u203c"


def to_ours(reaction: Reaction, written: Iterable[Written]) -> Reaction:
    """The reaction with our own text in it, as we wrote it; `NONE` when it is to none of these. It
    quotes the text whole, or its beginning and an ellipsis; one to a picture is to the last text
    that had one."""
    if not reaction.kind:
        return NONE
    if not reaction.text:
        return next((Reaction(reaction.kind, body) for body, media in written if media), NONE)
    quoted = words(reaction.text)
    if quoted[: len(_TRIAL)] == _TRIAL:
        quoted = quoted[len(_TRIAL) :]
    cut = reaction.text.endswith(_ELLIPSES) and len(quoted) >= _LEAST_CUT
    for body, _ in written:
        ours = words(body)
        same = quoted == ours if quoted else reaction.text == folded(body).strip()
        if same or (cut and _begins(quoted, ours)):
            return Reaction(reaction.kind, body)
    return NONE


def _begins(quoted: list[str], ours: list[str]) -> bool:
    """Whether a text of ours begins so; the last word may be cut off."""
    *whole, last = quoted
    size = len(whole)
    return ours[:size] == whole and size < len(ours) and ours[size].startswith(last)
