"""True facts about nature, numbers, words and culture, phrased as in ``facts_places``."""

from facts_places import Topic, parse_pairs

ELEMENTS = """
hydrogen H helium He lithium Li beryllium Be boron B carbon C nitrogen N oxygen O fluorine F
neon Ne sodium Na magnesium Mg aluminium Al silicon Si phosphorus P sulphur S chlorine Cl argon Ar
potassium K calcium Ca scandium Sc titanium Ti vanadium V chromium Cr manganese Mn iron Fe
cobalt Co nickel Ni copper Cu zinc Zn gallium Ga germanium Ge arsenic As selenium Se bromine Br
krypton Kr rubidium Rb strontium Sr yttrium Y zirconium Zr niobium Nb molybdenum Mo technetium Tc
ruthenium Ru rhodium Rh palladium Pd silver Ag cadmium Cd indium In tin Sn antimony Sb
tellurium Te iodine I xenon Xe caesium Cs barium Ba lanthanum La cerium Ce praseodymium Pr
neodymium Nd promethium Pm samarium Sm europium Eu gadolinium Gd terbium Tb dysprosium Dy
holmium Ho erbium Er thulium Tm ytterbium Yb lutetium Lu hafnium Hf tantalum Ta tungsten W
rhenium Re osmium Os iridium Ir platinum Pt gold Au mercury Hg thallium Tl lead Pb bismuth Bi
polonium Po astatine At radon Rn francium Fr radium Ra actinium Ac thorium Th protactinium Pa
uranium U neptunium Np plutonium Pu
"""

ANIMAL_CLASSES = """
dolphin=mammal; bat=mammal; whale=mammal; elephant=mammal; mouse=mammal; kangaroo=mammal;
otter=mammal; seal=mammal; hedgehog=mammal; camel=mammal; platypus=mammal; squirrel=mammal;
penguin=bird; ostrich=bird; eagle=bird; owl=bird; robin=bird; parrot=bird; flamingo=bird;
pelican=bird; kiwi=bird; swan=bird; heron=bird; woodpecker=bird; puffin=bird; raven=bird;
snake=reptile; lizard=reptile; crocodile=reptile; tortoise=reptile; gecko=reptile; iguana=reptile;
chameleon=reptile; turtle=reptile; viper=reptile; alligator=reptile; frog=amphibian; toad=amphibian;
newt=amphibian; salamander=amphibian; axolotl=amphibian; shark=fish; salmon=fish; trout=fish;
tuna=fish; cod=fish; eel=fish; herring=fish; seahorse=fish; ant=insect; bee=insect; beetle=insect;
butterfly=insect; moth=insect; wasp=insect; dragonfly=insect; grasshopper=insect; ladybird=insect;
mosquito=insect; termite=insect; spider=arachnid; scorpion=arachnid; tick=arachnid; mite=arachnid;
crab=crustacean; lobster=crustacean; shrimp=crustacean; prawn=crustacean; barnacle=crustacean;
snail=mollusc; slug=mollusc; octopus=mollusc; squid=mollusc; oyster=mollusc; mussel=mollusc
"""

ANIMAL_YOUNG = """
cow=calf; horse=foal; sheep=lamb; goat=kid; pig=piglet; dog=puppy; cat=kitten; hen=chick;
duck=duckling; goose=gosling; swan=cygnet; deer=fawn; kangaroo=joey; lion=cub; wolf=pup;
frog=tadpole; butterfly=caterpillar; owl=owlet; eagle=eaglet; hare=leveret; eel=elver;
elephant=calf; bear=cub; fox=cub; seal=pup; koala=joey; zebra=foal; fly=maggot; hedgehog=hoglet;
turkey=poult; pigeon=squab; giraffe=calf; puffin=puffling; spider=spiderling; donkey=foal;
oyster=spat; llama=cria; echidna=puggle
"""

ANIMAL_SOUNDS = """
cow=moo; horse=neigh; sheep=baa; pig=oink; dog=bark; cat=meow; duck=quack; goose=honk; owl=hoot;
lion=roar; wolf=howl; frog=croak; snake=hiss; bee=buzz; donkey=bray; mouse=squeak; elephant=trumpet;
rooster=crow; hen=cluck; turkey=gobble; crow=caw; pigeon=coo; cuckoo=cuckoo; hyena=laugh;
sparrow=chirp
"""

ANIMAL_HOMES = """
bird=nest; bee=hive; spider=web; rabbit=burrow; fox=den; beaver=lodge; horse=stable; pig=sty;
dog=kennel; badger=sett; otter=holt; squirrel=drey; eagle=eyrie; hen=coop; ant=anthill; lion=den;
goldfish=aquarium; snail=shell; hare=form; mole=tunnel; wasp=nest; dove=dovecote
"""

LEGS_AND_PARTS = """
legs on a spider=8; legs on an ant=6; legs on a dog=4; legs on a lobster=10; legs on a hen=2;
arms on an octopus=8; wings on a bee=4; humps on a dromedary=1; humps on a Bactrian camel=2;
sides of a triangle=3; sides of a square=4; sides of a pentagon=5; sides of a hexagon=6;
sides of an octagon=8; sides of a decagon=10; sides of a dodecagon=12; faces of a cube=6;
edges of a cube=12; corners of a cube=8; strings on a violin=4; strings on a guitar=6;
keys on a piano=88; squares on a chess board=64; chess pieces at the start of a game=32;
cards in a pack without jokers=52; dots on a die=21; players in a football team=11;
players in a volleyball team=6; players in a basketball team on court=5; holes on a golf course=18;
rings in the Olympic symbol=5; stripes on the flag of the United States=13;
stars on the flag of the United States=50; letters in the English alphabet=26;
vowels in the English alphabet=5; bones in an adult human body=206; chambers of the human heart=4;
planets in the Solar System=8; colours of the rainbow=7; continents=7; lines in a sonnet=14;
lines in a haiku=3; strings on a cello=4; black keys on a piano=36; players in a rugby union team=15
"""

UNITS = """
seconds in a minute=60; minutes in an hour=60; hours in a day=24; days in a week=7;
weeks in a year=52; months in a year=12; days in a leap year=366; days in a common year=365;
years in a decade=10; years in a century=100; years in a millennium=1000; minutes in a day=1440;
seconds in an hour=3600; centimetres in a metre=100; millimetres in a centimetre=10;
metres in a kilometre=1000; grams in a kilogram=1000; millilitres in a litre=1000;
kilograms in a tonne=1000; inches in a foot=12; feet in a yard=3; yards in a mile=1760;
feet in a mile=5280; ounces in a pound=16; pounds in a stone=14; pints in a gallon=8;
items in a dozen=12; items in a score=20; items in a gross=144; degrees in a circle=360;
degrees in a right angle=90; degrees in a triangle=180; bits in a byte=8;
sheets in a ream of paper=500; cents in a US dollar=100; cents in a nickel=5; cents in a quarter=25;
days in April=30; days in January=31; days in September=30; days in December=31; days in June=30;
days in July=31; days in November=30; days in March=31; days in August=31; days in May=31;
days in October=31
"""

OPPOSITES = """
hot=cold; big=small; tall=short; fast=slow; old=young; new=old; happy=sad; light=dark; up=down;
left=right; open=closed; early=late; full=empty; hard=soft; high=low; wet=dry; rich=poor;
strong=weak; thick=thin; wide=narrow; deep=shallow; loud=quiet; clean=dirty; sharp=blunt;
sweet=sour; brave=cowardly; cheap=expensive; easy=difficult; near=far; rough=smooth; safe=dangerous;
tight=loose; heavy=light; awake=asleep; alive=dead; true=false; polite=rude; generous=mean;
ancient=modern; buy=sell; give=take; push=pull; win=lose; laugh=cry; begin=end; arrive=depart;
accept=refuse; remember=forget; love=hate; build=demolish; float=sink; lend=borrow; expand=contract;
attack=defend; succeed=fail; victory=defeat; day=night; summer=winter; north=south; east=west;
friend=enemy; question=answer; entrance=exit; maximum=minimum; import=export; ascend=descend;
include=exclude; increase=decrease; ceiling=floor; peace=war; optimist=pessimist; guilty=innocent;
noisy=silent; bright=dim; fresh=stale; humble=proud; lazy=hardworking; major=minor;
permanent=temporary; public=private; scarce=plentiful; simple=complex; straight=crooked;
vertical=horizontal; visible=invisible; voluntary=compulsory; wise=foolish; patient=impatient;
possible=impossible; legal=illegal; regular=irregular; honest=dishonest; asymmetry=symmetry;
above=below; inside=outside; before=after; always=never; more=less; odd=even; positive=negative;
plural=singular; male=female; artificial=natural
"""

PLURALS = """
mouse=mice; goose=geese; child=children; tooth=teeth; foot=feet; man=men; woman=women; ox=oxen;
sheep=sheep; leaf=leaves; knife=knives; wolf=wolves; loaf=loaves; calf=calves; half=halves;
shelf=shelves; thief=thieves; wife=wives; life=lives; baby=babies; city=cities; lady=ladies;
party=parties; story=stories; box=boxes; fox=foxes; bus=buses; dish=dishes; church=churches;
hero=heroes; potato=potatoes; tomato=tomatoes; echo=echoes; cactus=cacti; crisis=crises;
oasis=oases; thesis=theses; axis=axes; phenomenon=phenomena; criterion=criteria; louse=lice;
die=dice; person=people; deer=deer; salmon=salmon; alumnus=alumni; larva=larvae; toy=toys; key=keys;
monkey=monkeys; piano=pianos; photo=photos; roof=roofs; passer-by=passers-by
"""

PAST_TENSES = """
go=went; bring=brought; think=thought; buy=bought; catch=caught; teach=taught; swim=swam; sing=sang;
drink=drank; begin=began; run=ran; come=came; give=gave; eat=ate; see=saw; take=took; write=wrote;
ride=rode; drive=drove; speak=spoke; break=broke; choose=chose; freeze=froze; steal=stole;
wake=woke; fly=flew; grow=grew; know=knew; throw=threw; draw=drew; blow=blew; find=found; hold=held;
keep=kept; sleep=slept; weep=wept; leave=left; feel=felt; meet=met; lose=lost; sit=sat; stand=stood;
win=won; dig=dug; hang=hung; stick=stuck; tell=told; sell=sold; say=said; pay=paid; hear=heard;
make=made; have=had; do=did; send=sent; spend=spent; build=built; lend=lent; cut=cut; hit=hit;
put=put; shake=shook; wear=wore; tear=tore; swear=swore; bite=bit; hide=hid; slide=slid; fall=fell;
forget=forgot; forgive=forgave; understand=understood; fight=fought; seek=sought; sweep=swept;
shoot=shot; lead=led; feed=fed; bleed=bled; become=became; sink=sank; ring=rang; spring=sprang
"""

SPANISH = """
red=rojo; blue=azul; green=verde; black=negro; white=blanco; yellow=amarillo; one=uno; two=dos;
three=tres; four=cuatro; five=cinco; ten=diez; house=casa; dog=perro; cat=gato; water=agua;
bread=pan; milk=leche; book=libro; friend=amigo; school=escuela; sun=sol; moon=luna; hand=mano;
head=cabeza; street=calle; city=ciudad; tree=árbol; flower=flor; fish=pez; apple=manzana;
cheese=queso; table=mesa; window=ventana; door=puerta; shoe=zapato; day=día; night=noche
"""

FRENCH = """
red=rouge; blue=bleu; green=vert; black=noir; white=blanc; yellow=jaune; one=un; two=deux;
three=trois; four=quatre; five=cinq; ten=dix; house=maison; dog=chien; cat=chat; water=eau;
bread=pain; milk=lait; book=livre; friend=ami; school=école; sun=soleil; moon=lune; hand=main;
head=tête; street=rue; city=ville; tree=arbre; flower=fleur; fish=poisson; apple=pomme;
cheese=fromage; table=table; window=fenêtre; door=porte; shoe=chaussure; day=jour; night=nuit
"""

GERMAN = """
red=rot; blue=blau; green=grün; black=schwarz; white=weiß; yellow=gelb; one=eins; two=zwei;
three=drei; four=vier; five=fünf; ten=zehn; house=Haus; dog=Hund; cat=Katze; water=Wasser;
bread=Brot; milk=Milch; book=Buch; friend=Freund; school=Schule; sun=Sonne; moon=Mond; hand=Hand;
head=Kopf; street=Straße; city=Stadt; tree=Baum; flower=Blume; fish=Fisch; apple=Apfel; cheese=Käse;
table=Tisch; window=Fenster; door=Tür; shoe=Schuh; day=Tag; night=Nacht
"""

COLLECTIVES = """
lions=pride; wolves=pack; sheep=flock; cows=herd; bees=swarm; fish=shoal; crows=murder;
owls=parliament; puppies=litter; ants=colony; whales=pod; locusts=plague; ships=fleet;
soldiers=army; singers=choir; players=team; actors=cast; sailors=crew; grapes=bunch; cards=deck;
stairs=flight; trees=forest; mountains=range; stars=constellation; islands=archipelago; thieves=gang
"""

MATERIALS = """
bread=flour; cheese=milk; wine=grapes; paper=wood; glass=sand; leather=hide; chocolate=cocoa;
omelettes=eggs; candles=wax; raisins=grapes; butter=cream; jam=fruit; honey=nectar; tofu=soya beans;
hummus=chickpeas; guacamole=avocado; chips=potatoes; ketchup=tomatoes; tyres=rubber; bricks=clay;
wool jumpers=wool; linen=flax; silk=cocoons; steel=iron; bronze=copper; pasta=wheat; sushi=rice;
popcorn=maize; cider=apples; porridge=oats; marzipan=almonds; sauerkraut=cabbage; tahini=sesame;
prunes=plums; yoghurt=milk
"""

COLOURS = """
a ripe banana=yellow; fresh grass=green; a clear daytime sky=blue; fresh snow=white; coal=black;
a ripe tomato=red; a carrot=orange; an emerald=green; a ruby=red; a sapphire=blue;
an amethyst=purple; a flamingo=pink; a polar bear=white; a raven=black; a lemon=yellow; blood=red;
milk=white; chocolate=brown; a basketball=orange; a lime=green; a blueberry=blue;
an aubergine=purple; a sunflower=yellow; a crow=black; a fire engine=red; salt=white;
broccoli=green; mustard=yellow; an elephant=grey; the stop light=red; the go light=green;
wet earth=brown; ivory=white; jade=green; a canary=yellow; a strawberry=red; soot=black;
spinach=green
"""

TOOLS = """
carpenter=hammer; painter=brush; tailor=needle; gardener=spade; astronomer=telescope; baker=oven;
barber=scissors; lumberjack=axe; farmer=plough; fisherman=net; blacksmith=anvil; doctor=stethoscope;
photographer=camera; conductor=baton; archer=bow; plumber=wrench; sailor=compass; writer=pen;
referee=whistle; surgeon=scalpel; potter=wheel; weaver=loom; miner=pickaxe; chemist=test tube;
cook=saucepan; drummer=drumsticks; judge=gavel; diver=snorkel; knight=sword; butcher=cleaver
"""

INSTRUMENTS = """
violin=strings; cello=strings; viola=strings; harp=strings; guitar=strings; flute=woodwind;
clarinet=woodwind; oboe=woodwind; bassoon=woodwind; piccolo=woodwind; trumpet=brass; trombone=brass;
tuba=brass; French horn=brass; bugle=brass; drum=percussion; xylophone=percussion;
cymbal=percussion; triangle=percussion; tambourine=percussion; timpani=percussion; banjo=strings
"""

CALENDAR = """
January February March April May June July August September October November December
"""

WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"

TENS = {10: "X", 20: "XX", 30: "XXX", 40: "XL", 50: "L", 60: "LX", 70: "LXX", 80: "LXXX", 90: "XC"}
ONES = dict(enumerate(["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"]))


def build_computed_topics() -> list[Topic]:
    """Sums, products and Roman numerals, whose answers are computed."""
    pairs = [(a, b) for a in range(2, 13) for b in range(a, 13)]
    romans = {f"{t + o}": TENS[t] + ONES[o] for t in TENS for o in (0, 4, 6, 9)}
    return [
        Topic(
            "sums",
            {f"{a} plus {b}": f"{a + b}" for a, b in pairs},
            ("{x} is >> {y}", "Add it up: {x} makes >> {y}", "In class, {x} gives >> {y}"),
            2,
        ),
        Topic(
            "products",
            {f"{a} times {b}": f"{a * b}" for a, b in pairs},
            (
                "{x} is >> {y}",
                "Multiply: {x} makes >> {y}",
                "In the table, {x} gives >> {y}",
                "The product {x} equals >> {y}",
                "By heart, {x} comes to >> {y}",
            ),
            2,
        ),
        Topic(
            "roman-numerals",
            romans,
            (
                "The Roman numeral for {x} is >> {y}",
                "On an old clock tower, {x} is carved as >> {y}",
                "In Roman figures, one writes {x} as >> {y}",
                "A Roman mason would chisel the number {x} as >> {y}",
                "To number chapter {x} in the Roman way, use >> {y}",
            ),
            2,
        ),
    ]


def build_count_topics() -> list[Topic]:
    """How many of something there are."""
    return [
        Topic(
            "counts",
            parse_pairs(LEGS_AND_PARTS),
            (
                "The number of {x} is >> {y}",
                "Count the {x} and you get >> {y}",
                "Asked for the number of {x}, one says >> {y}",
                "A careful count of the {x} ends at >> {y}",
                "How many {x}? The answer is >> {y}",
            ),
            3,
        ),
        Topic(
            "units",
            parse_pairs(UNITS),
            (
                "The number of {x} is >> {y}",
                "Convert it: the {x} come to >> {y}",
                "The table on the wall gives the {x} as >> {y}",
                "For the {x}, the calculator shows >> {y}",
                "How many {x}? The answer is >> {y}",
            ),
            3,
        ),
    ]


def build_calendar_topics() -> list[Topic]:
    """What comes before and after each month and day."""
    topics = []
    for name, names in (("months", CALENDAR.split()), ("weekdays", WEEKDAYS.split())):
        unit = name.removesuffix("s").removeprefix("week")
        following: dict[str, str] = dict(zip(names, names[1:] + names[:1], strict=True))
        phrasings = (
            f"The {unit} after {{x}} is >> {{y}}",
            f"When {{x}} is over, the next {unit} is >> {{y}}",
            "Turn the calendar page from {x} and you read >> {y}",
            f"The {unit} just before {{y}} is >> {{x}}",
            f"One {unit} earlier than {{y}} it was >> {{x}}",
        )
        topics.append(Topic(name, following, phrasings, 4))
    return topics


def build_number_topics() -> list[Topic]:
    """Every topic whose answers are numbers, elements apart."""
    return [*build_computed_topics(), *build_count_topics()]


def build_element_topics() -> list[Topic]:
    """Symbols and numbers of the elements."""
    cells = ELEMENTS.split()
    names, symbols = cells[::2], cells[1::2]
    return [
        Topic(
            "element-symbols",
            dict(zip(names, symbols, strict=True)),
            (
                "The chemical symbol of {x} is >> {y}",
                "In the periodic table, {x} is written >> {y}",
                "Chemists shorten {x} to >> {y}",
                "A jar of {x} carries the label >> {y}",
                "In a chemical formula, {x} appears as >> {y}",
            ),
            2,
        ),
        Topic(
            "atomic-numbers",
            {name: f"{number}" for number, name in enumerate(names, start=1)},
            (
                "The atomic number of {x} is >> {y}",
                "The protons in one atom of {x} number >> {y}",
                "The place of {x} in the periodic table is number >> {y}",
                "Count the protons of {x}: there are >> {y}",
                "In order of protons, {x} comes at position >> {y}",
            ),
            2,
        ),
    ]


def build_animal_topics() -> list[Topic]:
    """Classes, young, sounds and homes of animals."""
    return [
        Topic(
            "animal-classes",
            parse_pairs(ANIMAL_CLASSES),
            (
                "{a} is a kind of >> {y}",
                "The animal group of the {x} is >> {y}",
                "In the museum, the {x} stands under the heading >> {y}",
                "Sorted by class, the {x} counts as >> {y}",
            ),
            2,
        ),
        Topic(
            "animal-young",
            parse_pairs(ANIMAL_YOUNG),
            (
                "The usual word for a baby {x} is >> {y}",
                "The young of {a} is called >> {y}",
                "A farmer's dictionary names the infant {x} >> {y}",
                "Before it grows into {a}, the little animal is named >> {y}",
                "The offspring of {a} goes by the name of >> {y}",
            ),
            3,
        ),
        Topic(
            "animal-sounds",
            parse_pairs(ANIMAL_SOUNDS),
            (
                "The sound of {a} is >> {y}",
                "The verb for the noise of {a} is to >> {y}",
                "In a picture book, the {x} says >> {y}",
            ),
            2,
        ),
        Topic(
            "animal-homes",
            parse_pairs(ANIMAL_HOMES),
            (
                "The home of {a} is called >> {y}",
                "To find {a}, look into its >> {y}",
                "The word for the place where {a} lives is >> {y}",
            ),
            2,
        ),
    ]


def build_nature_topics() -> list[Topic]:
    """Elements and animals."""
    return [*build_element_topics(), *build_animal_topics()]
