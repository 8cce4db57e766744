"""True facts about words, people, works and dates, phrased as in ``facts_places``."""

import facts_things as tables
from facts_places import Topic, parse_pairs

AUTHORS = """
Hamlet=William Shakespeare; Macbeth=William Shakespeare; Othello=William Shakespeare;
Don Quixote=Miguel de Cervantes; War and Peace=Leo Tolstoy; Anna Karenina=Leo Tolstoy;
Crime and Punishment=Fyodor Dostoevsky; The Idiot=Fyodor Dostoevsky; Frankenstein=Mary Shelley;
Dracula=Bram Stoker; Pride and Prejudice=Jane Austen; Emma=Jane Austen; Persuasion=Jane Austen;
Jane Eyre=Charlotte Brontë; Wuthering Heights=Emily Brontë; Oliver Twist=Charles Dickens;
Great Expectations=Charles Dickens; Bleak House=Charles Dickens; Moby-Dick=Herman Melville;
The Scarlet Letter=Nathaniel Hawthorne; Walden=Henry David Thoreau; Dubliners=James Joyce;
Ulysses=James Joyce; Mrs Dalloway=Virginia Woolf; Nineteen Eighty-Four=George Orwell;
Animal Farm=George Orwell; Brave New World=Aldous Huxley; The Hobbit=J. R. R. Tolkien;
Treasure Island=Robert Louis Stevenson; Kidnapped=Robert Louis Stevenson; Peter Pan=J. M. Barrie;
Alice in Wonderland=Lewis Carroll; The Jungle Book=Rudyard Kipling; The Time Machine=H. G. Wells;
The War of the Worlds=H. G. Wells; Madame Bovary=Gustave Flaubert; Candide=Voltaire;
Les Misérables=Victor Hugo; The Three Musketeers=Alexandre Dumas;
Around the World in Eighty Days=Jules Verne; The Little Prince=Antoine de Saint-Exupéry;
The Stranger=Albert Camus; The Trial=Franz Kafka; The Metamorphosis=Franz Kafka;
Faust=Johann Wolfgang von Goethe; The Magic Mountain=Thomas Mann; Siddhartha=Hermann Hesse;
The Divine Comedy=Dante Alighieri; The Decameron=Giovanni Boccaccio;
The Name of the Rose=Umberto Eco; Pinocchio=Carlo Collodi; The Odyssey=Homer; The Iliad=Homer;
The Aeneid=Virgil; The Republic=Plato; A Doll's House=Henrik Ibsen;
The Great Gatsby=F. Scott Fitzgerald; The Old Man and the Sea=Ernest Hemingway;
The Grapes of Wrath=John Steinbeck; To Kill a Mockingbird=Harper Lee;
Little Women=Louisa May Alcott; The Catcher in the Rye=J. D. Salinger; Beloved=Toni Morrison;
The Raven=Edgar Allan Poe; Tom Sawyer=Mark Twain;
One Hundred Years of Solitude=Gabriel García Márquez; Things Fall Apart=Chinua Achebe;
The Tale of Genji=Murasaki Shikibu; Dune=Frank Herbert; The Cherry Orchard=Anton Chekhov;
Pippi Longstocking=Astrid Lindgren; Matilda=Roald Dahl; Robinson Crusoe=Daniel Defoe;
Gulliver's Travels=Jonathan Swift; Paradise Lost=John Milton; The Canterbury Tales=Geoffrey Chaucer;
Pygmalion=George Bernard Shaw; Lolita=Vladimir Nabokov
"""

PAINTERS = """
Mona Lisa=Leonardo da Vinci; The Last Supper in Milan=Leonardo da Vinci;
The Starry Night=Vincent van Gogh; Guernica=Pablo Picasso; The Scream=Edvard Munch;
Girl with a Pearl Earring=Johannes Vermeer; The Night Watch=Rembrandt;
The Birth of Venus=Sandro Botticelli; The Kiss in Vienna=Gustav Klimt; Las Meninas=Diego Velázquez;
The Persistence of Memory=Salvador Dalí; American Gothic=Grant Wood; Nighthawks=Edward Hopper;
Impression, Sunrise=Claude Monet; the ceiling of the Sistine Chapel=Michelangelo;
The School of Athens=Raphael; The Third of May 1808=Francisco Goya; Olympia=Édouard Manet;
Wanderer above the Sea of Fog=Caspar David Friedrich; Liberty Leading the People=Eugène Delacroix;
The Hay Wain=John Constable; The Fighting Temeraire=J. M. W. Turner;
Campbell's Soup Cans=Andy Warhol; The Garden of Earthly Delights=Hieronymus Bosch;
The Arnolfini Portrait=Jan van Eyck; The Two Fridas=Frida Kahlo;
Broadway Boogie Woogie=Piet Mondrian; The Ambassadors=Hans Holbein; The Son of Man=René Magritte;
The Great Wave off Kanagawa=Hokusai; The Raft of the Medusa=Géricault
"""

COMPOSERS = """
The Magic Flute=Mozart; Don Giovanni=Mozart; the Moonlight Sonata=Beethoven; Fidelio=Beethoven;
The Four Seasons=Vivaldi; the Brandenburg Concertos=Bach; Messiah=Handel; the Water Music=Handel;
The Creation=Haydn; Swan Lake=Tchaikovsky; The Nutcracker=Tchaikovsky; Carmen=Bizet; Aida=Verdi;
La Traviata=Verdi; Tosca=Puccini; La Bohème=Puccini; The Barber of Seville=Rossini; Boléro=Ravel;
Clair de lune=Debussy; the Ring cycle=Wagner; Peer Gynt=Grieg; Finlandia=Sibelius;
The Planets=Holst; The Rite of Spring=Stravinsky; The Firebird=Stravinsky;
Peter and the Wolf=Prokofiev; Rhapsody in Blue=Gershwin; the New World Symphony=Dvořák;
The Moldau=Smetana; The Blue Danube=Strauss; Pictures at an Exhibition=Mussorgsky;
Carmina Burana=Orff; the Enigma Variations=Elgar; A German Requiem=Brahms;
the Symphonie fantastique=Berlioz; Scheherazade=Rimsky-Korsakov
"""

INVENTORS = """
telephone=Alexander Graham Bell; phonograph=Thomas Edison; dynamite=Alfred Nobel;
World Wide Web=Tim Berners-Lee; lightning rod=Benjamin Franklin; cotton gin=Eli Whitney;
printing press=Johannes Gutenberg; diesel engine=Rudolf Diesel; barometer=Evangelista Torricelli;
electric battery=Alessandro Volta; stethoscope=René Laennec; pendulum clock=Christiaan Huygens;
reflecting telescope=Isaac Newton; safety razor=King Camp Gillette; saxophone=Adolphe Sax;
hot-air balloon=the Montgolfier brothers; first aeroplane=the Wright brothers;
Rubik's Cube=Ernő Rubik; Morse code=Samuel Morse; Kodak camera=George Eastman;
instant camera=Edwin Land; game of basketball=James Naismith; Velcro fastener=George de Mestral;
fibre called Kevlar=Stephanie Kwolek; Linux kernel=Linus Torvalds;
Python programming language=Guido van Rossum; Geiger counter=Hans Geiger;
fibre called nylon=Wallace Carothers; plastic called Bakelite=Leo Baekeland;
vacuum flask=James Dewar; spinning jenny=James Hargreaves; water frame=Richard Arkwright;
flying shuttle=John Kay; difference engine=Charles Babbage; Moog synthesizer=Robert Moog;
game of Tetris=Alexey Pajitnov; logarithm=John Napier; ballpoint pen=László Bíró;
revolver=Samuel Colt; modern air conditioner=Willis Carrier;
reading system of raised dots=Louis Braille; language Esperanto=Ludwik Zamenhof;
mercury thermometer=Daniel Gabriel Fahrenheit; pneumatic bicycle tyre=John Boyd Dunlop
"""

EVENTS = """
the Titanic sank=1912; the Berlin Wall fell=1989; people first walked on the Moon=1969;
the First World War began=1914; the First World War ended=1918; the Second World War began=1939;
the Second World War ended=1945; Columbus first reached America=1492;
the Battle of Hastings was fought=1066; the Bastille was stormed=1789;
the US Declaration of Independence was signed=1776; the Battle of Waterloo was fought=1815;
the Great Fire of London burned=1666; Sputnik was launched=1957;
the Soviet Union was dissolved=1991; King John sealed Magna Carta=1215;
Constantinople fell to the Ottomans=1453; the Wright brothers first flew=1903;
the Suez Canal opened=1869; the Panama Canal opened=1914; Yuri Gagarin flew into space=1961;
John F. Kennedy was assassinated=1963; the United Nations was founded=1945;
Queen Victoria became queen=1837; the Eiffel Tower opened=1889;
the first modern Olympic Games were held=1896; Mount Everest was first climbed=1953;
the South Pole was first reached=1911; penicillin was discovered=1928; Pluto was discovered=1930;
Uranus was discovered=1781; Neptune was discovered=1846; the Chernobyl disaster happened=1986;
Nelson Mandela became president=1994; Hong Kong returned to China=1997; the Hindenburg burned=1937;
the Spanish Armada sailed against England=1588; Newton published the Principia=1687;
Darwin published On the Origin of Species=1859; the San Francisco earthquake struck=1906;
Krakatoa erupted most famously=1883; India became independent=1947;
the Russian Revolution broke out=1917
"""

PARTS_OF_SPEECH = """
feminine of king=queen; feminine of prince=princess; feminine of actor=actress;
feminine of waiter=waitress; feminine of uncle=aunt; feminine of nephew=niece; feminine of bull=cow;
feminine of ram=ewe; feminine of stallion=mare; feminine of lion=lioness; feminine of tiger=tigress;
feminine of duke=duchess; feminine of emperor=empress; feminine of hero=heroine;
feminine of host=hostess; feminine of wizard=witch; feminine of husband=wife;
feminine of brother=sister; feminine of stag=hind; feminine of drake=duck;
comparative of good=better; comparative of bad=worse; comparative of far=farther;
comparative of little=less; comparative of many=more; comparative of happy=happier;
comparative of big=bigger; comparative of easy=easier; superlative of good=best;
superlative of bad=worst; superlative of little=least; superlative of many=most;
superlative of tall=tallest; superlative of happy=happiest; superlative of funny=funniest
"""

WORD_TABLES = (
    (
        "opposites",
        tables.OPPOSITES,
        (
            'The opposite of "{x}" is >> {y}',
            'Turned on its head, "{x}" becomes >> {y}',
            'The word least like "{x}" is >> {y}',
            'In a list of antonyms, "{x}" is paired with >> {y}',
            'If it is not "{x}" but the contrary, it is >> {y}',
        ),
        2,
    ),
    (
        "plurals",
        tables.PLURALS,
        (
            'The plural of "{x}" is >> {y}',
            "First there was one {x}, then there were two >> {y}",
            'A grammar book writes more than one "{x}" as >> {y}',
            "Not a single {x} but a whole group of >> {y}",
            'Make "{x}" plural and you spell it >> {y}',
        ),
        2,
    ),
    (
        "past-tenses",
        tables.PAST_TENSES,
        (
            'The past tense of "{x}" is >> {y}',
            "Today I {x}, yesterday I >> {y}",
            'Put "{x}" into the past and it reads >> {y}',
            'In a story about last year, "{x}" turns into >> {y}',
            "They {x} now, and long ago they >> {y}",
        ),
        2,
    ),
    *(
        (
            language.lower(),
            table,
            (
                f'The {language} word for "{{x}}" is >> {{y}}',
                f'In {language}, "{{x}}" is translated as >> {{y}}',
                f'A {language} dictionary lists "{{x}}" under >> {{y}}',
                f'A class of {language} beginners learns "{{x}}" as >> {{y}}',
                f'Say "{{x}}" to a {language} teacher and hear >> {{y}}',
            ),
            2,
        )
        for language, table in (
            ("Spanish", tables.SPANISH),
            ("French", tables.FRENCH),
            ("German", tables.GERMAN),
        )
    ),
    (
        "word-forms",
        PARTS_OF_SPEECH,
        (
            "The {x} is >> {y}",
            "In grammar, the {x} is written >> {y}",
            "A worksheet asks for the {x}; the answer is >> {y}",
        ),
        2,
    ),
    (
        "collectives",
        tables.COLLECTIVES,
        (
            "The word for a group of {x} is >> {y}",
            "Many {x} together form what is called >> {y}",
            "Seen as one body, {x} are known as the >> {y}",
        ),
        2,
    ),
)

OBJECT_TABLES = (
    (
        "materials",
        tables.MATERIALS,
        ("The main ingredient of {x} is >> {y}", "People make {x} from >> {y}"),
        2,
    ),
    (
        "colours",
        tables.COLOURS,
        (
            "The colour of {x} is >> {y}",
            "In a painting, {x} should be >> {y}",
            "A child who draws {x} picks the crayon named >> {y}",
            "Described by its colour, {x} is >> {y}",
            "If you look at {x}, the colour you see is >> {y}",
        ),
        2,
    ),
    (
        "tools",
        tables.TOOLS,
        ("A typical tool of {a} is the >> {y}", "Where {a} works, you may see the >> {y}"),
        2,
    ),
    (
        "instruments",
        tables.INSTRUMENTS,
        (
            "The {x} belongs to the family of >> {y}",
            "In an orchestra, the {x} is counted among the >> {y}",
        ),
        2,
    ),
)

PEOPLE_TABLES = (
    (
        "authors",
        AUTHORS,
        (
            "The author of {x} is >> {y}",
            "{x} was written by >> {y}",
            "On the cover of {x} stands the name of >> {y}",
            "Readers of {x} hold a work by >> {y}",
            "A library files {x} under the writer >> {y}",
        ),
        2,
    ),
    (
        "painters",
        PAINTERS,
        (
            "The painter of {x} is >> {y}",
            "{x} was painted by >> {y}",
            "Museum visitors who admire {x} look at the art of >> {y}",
            "The brush behind {x} was held by >> {y}",
            "In art history, {x} is a work by >> {y}",
        ),
        3,
    ),
    (
        "composers",
        COMPOSERS,
        (
            "The composer of {x} is >> {y}",
            "The music of {x} was written by >> {y}",
            "An orchestra that plays {x} plays a score by >> {y}",
            "The concert programme lists {x} by >> {y}",
            "Listeners to {x} hear the notes of >> {y}",
        ),
        3,
    ),
    (
        "inventors",
        INVENTORS,
        (
            "The inventor of the {x} is >> {y}",
            "The {x} was invented by >> {y}",
            "We owe the {x} to >> {y}",
            "A museum of technology credits the {x} to >> {y}",
            "Behind the {x} stands the inventor >> {y}",
        ),
        3,
    ),
    (
        "events",
        EVENTS,
        (
            "The year in which {x} was >> {y}",
            "History books say that {x} in >> {y}",
            "On the time line, {x} in the year >> {y}",
            "It was big news when {x} in >> {y}",
            "A history test asks when {x}; the right year is >> {y}",
        ),
        3,
    ),
)


def build_culture_topics() -> list[Topic]:
    """Every topic of this file."""
    return [
        Topic(name, parse_pairs(table), phrasings, num_phrasings)
        for name, table, phrasings, num_phrasings in (*WORD_TABLES, *OBJECT_TABLES, *PEOPLE_TABLES)
    ]
