"""Sentences in 22 languages, what must be found in them and what must not; prints the table of both.

python tests/corpus/languages.py
"""

import tempfile
import unicodedata
from pathlib import Path
from typing import NamedTuple

from corpora import write_corpus

from lorif_core.corpus import Corpus, Filter, TextSearch, ensure_fulltext
from lorif_core.corpus.duplicates import exact_groups

MODES = ("words", "contains", "regex", "duplicates")


class Language(NamedTuple):
    """A sentence and questions about it."""

    name: str
    sentence: str
    words: tuple[str, ...]
    """Found by words."""
    no_words: tuple[str, ...]
    """Not found by words: other words that share letters with it."""
    contains: tuple[str, ...]
    no_contains: tuple[str, ...]
    regex: tuple[str, ...]
    no_regex: tuple[str, ...]
    same: tuple[str, ...]
    """The same text, stored or written in another form."""
    other: tuple[str, ...]
    """Another text."""


def nfd(text):
    return unicodedata.normalize("NFD", text)


# fmt: off
LANGUAGES = [
    Language("English", "The naïve waiter served ﬁne coffee at the café.",
             ("naive", "NAÏVE", nfd("café"), "fine", '"fine coffee"', "serv*"), ("caf", "fin", "tea"),
             ("FINE COFFEE", nfd("naïve"), "CAFÉ"), ("naive", "cafe ", "teas"),
             ("caf[eé]\\.$", nfd("naïve"), "(?i)THE"), ("^café", "naive"),
             ("the NAÏVE waiter served fine coffee at the café",), ("The naive waiter served fine coffee at the cafe.",)),
    Language("German", "Die Straßenbahn hält in der Größe 5 vor dem weißen Haus.",
             ("straßenbahn", "STRASSENBAHN", "größe", "größe*", "weißen"), ("Straße", "groß", "weise"),
             ("STRASSE", nfd("GRÖSSE"), "weißen haus"), ("Strase", "Grosse", "weissem"),
             ("Stra(ß|ss)e", nfd("Größe")), ("^straße", "Grosse"),
             ("DIE STRASSENBAHN HÄLT IN DER GRÖSSE 5 VOR DEM WEISSEN HAUS.",), ("Die Straßenbahn hält in der Große 5 vor dem weißen Haus.",)),
    Language("French", "L'élève a mangé une crêpe à la crème brûlée.",
             ("élève", nfd("ÉLÈVE"), "eleve", "crepe", '"crème brûlée"'), ("lève", "mangeons", "brûle"),
             (nfd("élève"), "CRÊPE", "l'élève"), ("eleve", "creme"),
             (nfd("cr[eê]me|crème"), "é.è"), ("eleve",),
             (nfd("L'ÉLÈVE a mangé une crêpe à la crème brûlée"),), ("L'élève a mange une crêpe à la crème brûlée.",)),
    Language("Spanish", "El niño comió piñas mañana por la mañana en España.",
             ("niño", nfd("NIÑO"), "españa", "mañ*"), ("niñas", "comer", "añ"),
             (nfd("mañana"), "ESPAÑA"), ("manana", "Espana"),
             (nfd("ñ[oa]"), "mañana .* mañana"), ("nino",),
             (nfd("el niño comió piñas mañana por la mañana en España!"),), ("El nino comió pinas manana por la manana en Espana.",)),
    Language("Turkish", "İstanbul'da ılık bir akşamüstü çay içtik.",
             ("istanbul", "İSTANBUL", "ılık", "çay", "akşam*"), ("ıstan", "içti", "bal"),
             ("İSTANBUL", "istanbul", "ılık", nfd("akşamüstü")), ("ilik", "aksam"),
             ("^İstan", nfd("çay içtik")), ("ilik",),
             (nfd("istanbul'da ılık bir akşamüstü çay içtik"),), ("İstanbul'da ilik bir akşamüstü çay içtik.",)),
    Language("Greek", "Ο Οδυσσέας είδε τον Σίσυφο και τους άλλους ανθρώπους.",
             ("ΟΔΥΣΣΕΑΣ", "οδυσσεας", "Οδυσσέας", "ΑΛΛΟΥΣ", "ανθρωπ*"), ("άνθρωπος", "είδες", "σίσυφος"),
             ("ΆΛΛΟΥΣ", nfd("Οδυσσέας"), "τουσ"), ("αλλους", "είδα"),
             ("ους\\.$", nfd("ά.λους")), ("ΤΟΥΣ",),
             (nfd("Ο ΟΔΥΣΣΈΑΣ ΕΊΔΕ ΤΟΝ ΣΊΣΥΦΟ ΚΑΙ ΤΟΥΣ ΆΛΛΟΥΣ ΑΝΘΡΏΠΟΥΣ"),), ("Ο Οδυσσέας είδε τον Σίσυφο.",)),
    Language("Russian", "Мой ёжик нашёл за́мок на краю леса.",
             ("ёжик", "ежик", "ЁЖИК", "замок", nfd("мой")), ("мои", "край", "лес"),
             (nfd("ЁЖИК"), "МОЙ ё"), ("мои", "ежик"),
             (nfd("[её]жик"), "(?i)МОЙ"), ("мои", "Ежик"),
             (nfd("МОЙ ЁЖИК НАШЁЛ ЗА́МОК НА КРАЮ ЛЕСА"),), ("Мои ёжик нашёл за́мок на краю леса.",)),
    Language("Ukrainian", "П'ять українських їжаків з'їли їхні ґрунтові яблука.",
             ("п'ять", "пʼять", "П’ЯТЬ", nfd("їхні"), "україн*"), ("іхні", "грунтові", "яблуко"),
             (nfd("ЇЖАКІВ"), "ґрунт"), ("іжаків", "грунт"),
             (nfd("їжак"), "ґ"), ("іжак",),
             (nfd("П'ЯТЬ УКРАЇНСЬКИХ ЇЖАКІВ З'ЇЛИ ЇХНІ ҐРУНТОВІ ЯБЛУКА"),), ("П'ять українських іжаків з'їли їхні ґрунтові яблука.",)),
    Language("Polish", "Zażółć gęślą jaźń, a w Łodzi pada śnieg.",
             ("łodzi", "LODZI", "ŁODZI", nfd("śnieg"), "zaz*"), ("łódź", "śnie", "gęśl"),
             (nfd("GĘŚLĄ JAŹŃ"), "łodzi"), ("lodzi", "snieg"),
             (nfd("ja[zź]ń"), "Ł"), ("Lodzi",),
             (nfd("ZAŻÓŁĆ GĘŚLĄ JAŹŃ, A W ŁODZI PADA ŚNIEG"),), ("Zazolc gesla jazn, a w Lodzi pada snieg.",)),
    Language("Vietnamese", "Người Việt Nam uống cà phê sữa đá ở Đà Nẵng.",
             ("việt", nfd("VIỆT"), "viet", '"da nang"', "Đà"), ("vi", "ngườ", "đường"),
             (nfd("Việt Nam"), "ĐÀ NẴNG", "Vie\u0302\u0323t"), ("Viet", "Da Nang"),
             (nfd("Vi[ệê]t"), "đá"), ("Viet",),
             (nfd("NGƯỜI VIỆT NAM UỐNG CÀ PHÊ SỮA ĐÁ Ở ĐÀ NẴNG"),), ("Người Việt Nam uống cà phê sữa đa ở Đa Năng.",)),
    Language("Hindi", "हिन्दी में दान देना बहुत अच्छा काम है।",
             ("दान", "हिन्दी", "अच्छा", '"दान देना"', "हिन्*"), ("दिन", "दन", "हिन्द", "कम"),
             ("हिन्दी", "दान दे"), ("दिन", "हिन्दु"),
             ("द[ाि]न", "है।$"), ("दिन",),
             ("हिन्\u200dदी में दान देना बहुत अच्छा काम है",), ("हिन्दी में दिन देना बहुत अच्छा काम है।",)),
    Language("Bengali", "আমি বাংলায় গান গাই আর কোলকাতায় থাকি।",
             ("গান", "বাংলায়", "বাংলায\u09bc", nfd("কোলকাতায়")), ("গন", "বংলা", "কলকাতা"),
             ("বাংলায\u09bc", nfd("কোলকাতা")), ("গন", "কলকাতা"),
             (nfd("ক[োে]ল"), "গা[নই]"), ("কলকাতা",),
             (nfd("আমি বাংলায় গান গাই আর কোলকাতায় থাকি"),), ("আমি বাংলায় গন গাই আর কোলকাতায় থাকি।",)),
    Language("Tamil", "நான் தமிழ் மொழி கற்றுக்கொள்கிறேன்.",
             ("தமிழ்", "மொழி", nfd("மொழி"), "கற்*"), ("தமழ்", "நன்", "மழி"),
             (nfd("மொழி"), "தமிழ்"), ("மழி", "தமழ்"),
             (nfd("மொ.ி"), "^நான்"), ("நன்",),
             (nfd("நான் தமிழ் மொழி கற்றுக்கொள்கிறேன்"),), ("நன் தமிழ் மொழி கற்றுக்கொள்கிறேன்.",)),
    Language("Arabic", "ذَهَبَ الوَلَدُ إلى المَدْرَسَةِ في الصَّبَاحِ.",
             ("الولد", "الوَلَدُ", "المدرسة", "الصباح"), ("ولد", "درس", "الصبح"),
             ("المَدْرَسَةِ", nfd("إلى")), ("المدرسة", "الي"),
             ("في", nfd("إلى")), ("الولد",),
             (nfd("ذَهَبَ الوَلَدُ إلى المَدْرَسَةِ في الصَّبَاحِ"),), ("ذهب الولد الى المدرسة في الصباح.",)),
    Language("Persian", "من می\u200cخواهم کتاب\u200cهای تازه را بخوانم.",
             ("می\u200cخواهم", "میخواهم", "کتاب\u200cهای", "کتاب*"), ("خواهم", "هستم", "تاز"),
             ("میخواهم", "کتاب\u200cها"), ("می خواهم", "كتاب"),
             ("می\u200cخواهم", "را"), ("می خواهم",),
             ("من میخواهم کتابهای تازه را بخوانم",), ("من خواهم کتاب\u200cهای تازه را بخوانم.",)),
    Language("Hebrew", "שָׁלוֹם לכל הילדים בירושלים.",
             ("שלום", "שָׁלוֹם", "הילדים", "בירוש*"), ("ילדים", "שלם", "ירושלים"),
             (nfd("שָׁלוֹם"), "הילדים"), ("שלום", "ילדות"),
             ("ים\\.$", nfd("שָׁלוֹם")), ("שלום",),
             (nfd("שָׁלוֹם לכל הילדים בירושלים"),), ("שלם לכל הילדים בירושלים.",)),
    Language("Chinese", "我在北京大学学习，宿舍有２０２４个房间。",
             ("北京", "大学", "北京大学", "2024", '"学习"'), ("京北", "上海", "学大"),
             ("北京大学", "2024个", "学习,"), ("京北", "2025"),
             ("北.大", "学+习"), ("大北",),
             ("我在北京大学学习,宿舍有2024个房间",), ("我在南京大学学习，宿舍有２０２４个房间。",)),
    Language("Japanese", "東京でﾃﾞｰﾀを学ぶガイドブックを買いました。",
             ("東京", "データ", "ガイド", nfd("ガイドブック"), "買いました"), ("京東", "カイト", "大阪"),
             ("データ", nfd("ガイド"), "ﾃﾞｰﾀ"), ("カイト", "てーた"),
             (nfd("ガイド"), "東京.+買"), ("カイト",),
             (nfd("東京でデータを学ぶガイドブックを買いました。"),), ("東京でデータを学ぶカイトフックを買いました。",)),
    Language("Korean", "서울에서 친구를 만나고 한국어를 공부했어요.",
             ("서울에서", "서울*", nfd("한국어를"), "한국*"), ("서우", "친", "한글"),
             ("한국어", nfd("친구"), "서울"), ("한구", "서우"),
             (nfd("서울"), "한.어"), ("한구",),
             (nfd("서울에서 친구를 만나고 한국어를 공부했어요"),), ("서울에서 친구를 만나고 한글을 공부했어요.",)),
    Language("Thai", "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย น้ำใส",
             ("กรุงเทพ", "เมืองหลวง", "ประเทศไทย", "น้ำ"), ("กรงเทพ", "เมอง", "เชียงใหม่"),
             ("เมืองหลวง", "น้ำใส"), ("เมอง", "นำ"),
             ("ประเทศ.{3}", "น้ำ"), ("^เมือง",),
             ("กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย  น้ำใส ",), ("กรงเทพมหานครเป็นเมืองหลวงของประเทศไทย น้ำใส",)),
    Language("Burmese", "မြန်မာနိုင်ငံသည် လှပသော နိုင်ငံဖြစ်သည်။",
             ("မြန်မာ", "နိုင်ငံ", "လှပသော"), ("မန်မာ", "ထိုင်း"),
             ("နိုင်ငံ",), ("မန်မာ",),
             ("မြန်မာ.+ငံ",), ("^နိုင်ငံ",),
             ("မြန်မာနိုင်ငံသည်  လှပသော နိုင်ငံဖြစ်သည်",), ("မန်မာနိုင်ငံသည် လှပသော နိုင်ငံဖြစ်သည်။",)),
    Language("Khmer", "ប្រទេសកម្ពុជាមានប្រាសាទអង្គរវត្ត។",
             ("កម្ពុជា", "ប្រាសាទ", "អង្គរវត្ត"), ("កម្ពជា", "ប្រសាទ"),
             ("ប្រទេស\u200bកម្ពុជា",), ("កម្ពជា",),
             ("អង្គរ.+",), ("^កម្ពុជា",),
             ("ប្រទេស\u200bកម្ពុជា\u200bមាន\u200bប្រាសាទ\u200bអង្គរវត្ត",), ("ប្រទេសកម្ពជាមានប្រាសាទអង្គរវត្ត។",)),
]
# fmt: on


class Score(NamedTuple):
    """How a mode did on one language."""

    found: list[bool]
    """For each of what must be found, whether it was."""
    false_hits: list[str]
    """What was found and must not be."""


def score_all(folder: Path) -> dict[str, dict[str, Score]]:
    """Language → mode → score; every sentence is searched among all the others, in NFC and in NFD."""
    sentences = [one.sentence for one in LANGUAGES]
    rows = [{"text": text} for text in [*sentences, *map(nfd, sentences)]]
    file = write_corpus(folder, rows)
    scores: dict[str, dict[str, Score]] = {}
    with Corpus(file, ensure_fulltext(file, folder / "search.sqlite")) as corpus:
        for place, one in enumerate(LANGUAGES):
            own = {place, place + len(LANGUAGES)}
            scores[one.name] = {"duplicates": _duplicates(one)}
            for mode, wanted, unwanted in (
                ("words", one.words, one.no_words),
                ("contains", one.contains, one.no_contains),
                ("regex", one.regex, one.no_regex),
            ):
                rows_of = {
                    typed: set(corpus.rows(Filter(search=TextSearch(mode, typed)))) for typed in (*wanted, *unwanted)
                }
                found = [own <= rows_of[typed] for typed in wanted]
                scores[one.name][mode] = Score(found, [typed for typed in unwanted if own & rows_of[typed]])
    return scores


def _duplicates(one: Language) -> Score:
    def is_same(text: str) -> bool:
        return len(exact_groups([(["a", "b"], [one.sentence, text])])) == 2

    return Score([is_same(text) for text in one.same], [text for text in one.other if is_same(text)])


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        scores = score_all(Path(folder))
    print("| language | " + " | ".join(f"{mode}: found, false" for mode in MODES) + " |")
    print("|---|" + "---|" * len(MODES))
    for name, by_mode in scores.items():
        cells = [f"{sum(by_mode[m].found)}/{len(by_mode[m].found)}, {len(by_mode[m].false_hits)}" for m in MODES]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
