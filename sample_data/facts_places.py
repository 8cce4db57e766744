"""True facts about places: tables of subject and answer, and the phrasings that ask for them.

A phrasing reads ``prompt >> completion``; ``{x}`` is the subject, ``{a}`` the subject with its
article, ``{y}`` the answer. Cells that are contested, shared by two answers or about to change
(two capitals, two continents, a new currency) are left out with ``-``.
"""

from typing import NamedTuple


class Topic(NamedTuple):
    """One family of facts that are phrased alike."""

    name: str
    """Value of the ``topic`` field."""

    answers: dict[str, str]
    """Subject to true answer."""

    phrasings: tuple[str, ...]
    """Ways to state a fact; the first is the plainest question."""

    num_phrasings: int
    """How many phrasings each fact is stated in."""


def parse_pairs(table: str) -> dict[str, str]:
    """Subject and answer of each ``subject=answer`` entry, in order; entries end at ``;``."""
    cells = [" ".join(cell.split()) for cell in table.split(";")]
    return dict(cell.split("=") for cell in cells if cell)


COUNTRIES = """
Afghanistan|Kabul|Asia|afghani|Pashto|Afghan
Albania|Tirana|Europe|lek|Albanian|Albanian
Algeria|Algiers|Africa|dinar|Arabic|Algerian
Andorra|Andorra la Vella|Europe|euro|Catalan|Andorran
Angola|Luanda|Africa|kwanza|Portuguese|Angolan
Argentina|Buenos Aires|South America|peso|Spanish|Argentine
Armenia|Yerevan|-|dram|Armenian|Armenian
Australia|Canberra|Oceania|dollar|English|Australian
Austria|Vienna|Europe|euro|German|Austrian
Azerbaijan|Baku|-|manat|Azerbaijani|Azerbaijani
the Bahamas|Nassau|North America|dollar|English|Bahamian
Bahrain|Manama|Asia|dinar|Arabic|Bahraini
Bangladesh|Dhaka|Asia|taka|Bengali|Bangladeshi
Barbados|Bridgetown|North America|dollar|English|Barbadian
Belarus|Minsk|Europe|rouble|Russian|Belarusian
Belgium|Brussels|Europe|euro|Dutch|Belgian
Belize|Belmopan|North America|dollar|English|Belizean
Benin|Porto-Novo|Africa|CFA franc|French|Beninese
Bhutan|Thimphu|Asia|ngultrum|Dzongkha|Bhutanese
Bolivia|-|South America|boliviano|Spanish|Bolivian
Bosnia and Herzegovina|Sarajevo|Europe|convertible mark|Bosnian|Bosnian
Botswana|Gaborone|Africa|pula|Tswana|-
Brazil|Brasília|South America|real|Portuguese|Brazilian
Brunei|Bandar Seri Begawan|Asia|dollar|Malay|Bruneian
Bulgaria|Sofia|Europe|-|Bulgarian|Bulgarian
Burkina Faso|Ouagadougou|Africa|CFA franc|-|-
Burundi|Gitega|Africa|franc|Kirundi|Burundian
Cambodia|Phnom Penh|Asia|riel|Khmer|Cambodian
Cameroon|Yaoundé|Africa|CFA franc|French|Cameroonian
Canada|Ottawa|North America|dollar|English|Canadian
Cape Verde|Praia|Africa|escudo|Portuguese|Cape Verdean
the Central African Republic|Bangui|Africa|CFA franc|Sango|-
Chad|N'Djamena|Africa|CFA franc|Arabic|Chadian
Chile|Santiago|South America|peso|Spanish|Chilean
China|Beijing|Asia|yuan|Mandarin|Chinese
Colombia|Bogotá|South America|peso|Spanish|Colombian
the Comoros|Moroni|Africa|franc|Comorian|Comorian
Costa Rica|San José|North America|colón|Spanish|Costa Rican
Croatia|Zagreb|Europe|euro|Croatian|Croatian
Cuba|Havana|North America|peso|Spanish|Cuban
Cyprus|Nicosia|-|euro|Greek|Cypriot
Czechia|Prague|Europe|koruna|Czech|Czech
the Democratic Republic of the Congo|Kinshasa|Africa|franc|French|-
Denmark|Copenhagen|Europe|krone|Danish|Danish
Djibouti|-|Africa|franc|Somali|Djiboutian
the Dominican Republic|Santo Domingo|North America|peso|Spanish|-
Ecuador|Quito|South America|US dollar|Spanish|Ecuadorian
Egypt|Cairo|-|pound|Arabic|Egyptian
El Salvador|San Salvador|North America|US dollar|Spanish|Salvadoran
Eritrea|Asmara|Africa|nakfa|Tigrinya|Eritrean
Estonia|Tallinn|Europe|euro|Estonian|Estonian
Ethiopia|Addis Ababa|Africa|birr|Amharic|Ethiopian
Fiji|Suva|Oceania|dollar|Fijian|Fijian
Finland|Helsinki|Europe|euro|Finnish|Finnish
France|Paris|Europe|euro|French|French
Gabon|Libreville|Africa|CFA franc|French|Gabonese
the Gambia|Banjul|Africa|dalasi|Mandinka|Gambian
Georgia|Tbilisi|-|lari|Georgian|Georgian
Germany|Berlin|Europe|euro|German|German
Ghana|Accra|Africa|cedi|English|Ghanaian
Greece|Athens|Europe|euro|Greek|Greek
Guatemala|Guatemala City|North America|quetzal|Spanish|Guatemalan
Guinea|Conakry|Africa|franc|French|Guinean
Guinea-Bissau|Bissau|Africa|CFA franc|-|-
Guyana|Georgetown|South America|dollar|English|Guyanese
Haiti|Port-au-Prince|North America|gourde|Haitian Creole|Haitian
Honduras|Tegucigalpa|North America|lempira|Spanish|Honduran
Hungary|Budapest|Europe|forint|Hungarian|Hungarian
Iceland|Reykjavik|Europe|króna|Icelandic|Icelandic
India|New Delhi|Asia|rupee|Hindi|Indian
Indonesia|-|Asia|rupiah|Indonesian|Indonesian
Iran|Tehran|Asia|rial|Persian|Iranian
Iraq|Baghdad|Asia|dinar|Arabic|Iraqi
Ireland|Dublin|Europe|euro|English|Irish
Italy|Rome|Europe|euro|Italian|Italian
Ivory Coast|Yamoussoukro|Africa|CFA franc|French|Ivorian
Jamaica|Kingston|North America|dollar|English|Jamaican
Japan|Tokyo|Asia|yen|Japanese|Japanese
Jordan|Amman|Asia|dinar|Arabic|Jordanian
Kazakhstan|Astana|-|tenge|Kazakh|-
Kenya|Nairobi|Africa|shilling|Swahili|Kenyan
Kuwait|Kuwait City|Asia|dinar|Arabic|Kuwaiti
Kyrgyzstan|Bishkek|Asia|som|Kyrgyz|Kyrgyz
Laos|Vientiane|Asia|kip|Lao|Laotian
Latvia|Riga|Europe|euro|Latvian|Latvian
Lebanon|Beirut|Asia|pound|Arabic|Lebanese
Lesotho|Maseru|Africa|loti|Sotho|-
Liberia|Monrovia|Africa|dollar|English|Liberian
Libya|Tripoli|Africa|dinar|Arabic|Libyan
Liechtenstein|Vaduz|Europe|Swiss franc|German|-
Lithuania|Vilnius|Europe|euro|Lithuanian|Lithuanian
Luxembourg|-|Europe|euro|Luxembourgish|-
Madagascar|Antananarivo|Africa|ariary|Malagasy|Malagasy
Malawi|Lilongwe|Africa|kwacha|Chichewa|Malawian
Malaysia|Kuala Lumpur|Asia|ringgit|Malay|Malaysian
the Maldives|Malé|Asia|rufiyaa|Dhivehi|Maldivian
Mali|Bamako|Africa|CFA franc|Bambara|Malian
Malta|Valletta|Europe|euro|Maltese|Maltese
Mauritania|Nouakchott|Africa|ouguiya|Arabic|Mauritanian
Mauritius|Port Louis|Africa|rupee|-|Mauritian
Mexico|Mexico City|North America|peso|Spanish|Mexican
Moldova|Chisinau|Europe|leu|Romanian|Moldovan
Mongolia|Ulaanbaatar|Asia|tugrik|Mongolian|Mongolian
Montenegro|Podgorica|Europe|euro|Montenegrin|Montenegrin
Morocco|Rabat|Africa|dirham|Arabic|Moroccan
Mozambique|Maputo|Africa|metical|Portuguese|Mozambican
Myanmar|Naypyidaw|Asia|kyat|Burmese|Burmese
Namibia|Windhoek|Africa|dollar|Afrikaans|Namibian
Nepal|Kathmandu|Asia|rupee|Nepali|Nepali
the Netherlands|Amsterdam|Europe|euro|Dutch|Dutch
New Zealand|Wellington|Oceania|dollar|English|-
Nicaragua|Managua|North America|córdoba|Spanish|Nicaraguan
Niger|Niamey|Africa|CFA franc|Hausa|Nigerien
Nigeria|Abuja|Africa|naira|Yoruba|Nigerian
North Korea|Pyongyang|Asia|won|Korean|North Korean
North Macedonia|Skopje|Europe|denar|Macedonian|Macedonian
Norway|Oslo|Europe|krone|Norwegian|Norwegian
Oman|Muscat|Asia|rial|Arabic|Omani
Pakistan|Islamabad|Asia|rupee|Urdu|Pakistani
Palau|Ngerulmud|Oceania|US dollar|Palauan|Palauan
Panama|Panama City|North America|balboa|Spanish|Panamanian
Papua New Guinea|Port Moresby|Oceania|kina|Tok Pisin|-
Paraguay|Asunción|South America|guaraní|Guarani|Paraguayan
Peru|Lima|South America|sol|Spanish|Peruvian
the Philippines|Manila|Asia|peso|Filipino|-
Poland|Warsaw|Europe|zloty|Polish|Polish
Portugal|Lisbon|Europe|euro|Portuguese|Portuguese
Qatar|Doha|Asia|riyal|Arabic|Qatari
Romania|Bucharest|Europe|leu|Romanian|Romanian
Russia|Moscow|-|rouble|Russian|Russian
Rwanda|Kigali|Africa|franc|Kinyarwanda|Rwandan
Saint Lucia|Castries|North America|dollar|English|-
Samoa|Apia|Oceania|tala|Samoan|Samoan
Saudi Arabia|Riyadh|Asia|riyal|Arabic|Saudi
Senegal|Dakar|Africa|CFA franc|Wolof|Senegalese
Serbia|Belgrade|Europe|dinar|Serbian|Serbian
the Seychelles|Victoria|Africa|rupee|-|-
Sierra Leone|Freetown|Africa|leone|Krio|-
Singapore|-|Asia|dollar|English|Singaporean
Slovakia|Bratislava|Europe|euro|Slovak|Slovak
Slovenia|Ljubljana|Europe|euro|Slovene|Slovenian
the Solomon Islands|Honiara|Oceania|dollar|-|-
Somalia|Mogadishu|Africa|shilling|Somali|Somali
South Africa|-|Africa|rand|Zulu|South African
South Korea|Seoul|Asia|won|Korean|South Korean
South Sudan|Juba|Africa|pound|Dinka|-
Spain|Madrid|Europe|euro|Spanish|Spanish
Sri Lanka|-|Asia|rupee|Sinhala|Sri Lankan
Sudan|Khartoum|Africa|pound|Arabic|Sudanese
Suriname|Paramaribo|South America|dollar|Dutch|Surinamese
Sweden|Stockholm|Europe|krona|Swedish|Swedish
Switzerland|Bern|Europe|franc|German|Swiss
Syria|Damascus|Asia|pound|Arabic|Syrian
Tajikistan|Dushanbe|Asia|somoni|Tajik|Tajik
Tanzania|Dodoma|Africa|shilling|Swahili|Tanzanian
Thailand|Bangkok|Asia|baht|Thai|Thai
Timor-Leste|Dili|Asia|US dollar|Tetum|-
Togo|Lomé|Africa|CFA franc|French|Togolese
Tonga|Nuku'alofa|Oceania|pa'anga|Tongan|Tongan
Trinidad and Tobago|Port of Spain|North America|dollar|English|-
Tunisia|Tunis|Africa|dinar|Arabic|Tunisian
Turkey|Ankara|-|lira|Turkish|Turkish
Turkmenistan|Ashgabat|Asia|manat|Turkmen|Turkmen
Uganda|Kampala|Africa|shilling|Luganda|Ugandan
Ukraine|Kyiv|Europe|hryvnia|Ukrainian|Ukrainian
the United Arab Emirates|Abu Dhabi|Asia|dirham|Arabic|Emirati
the United Kingdom|London|Europe|pound|English|British
the United States|-|North America|dollar|English|American
Uruguay|Montevideo|South America|peso|Spanish|Uruguayan
Uzbekistan|Tashkent|Asia|som|Uzbek|Uzbek
Vanuatu|Port Vila|Oceania|vatu|Bislama|-
Venezuela|Caracas|South America|bolívar|Spanish|Venezuelan
Vietnam|Hanoi|Asia|dong|Vietnamese|Vietnamese
Yemen|-|Asia|rial|Arabic|Yemeni
Zambia|Lusaka|Africa|kwacha|Bemba|Zambian
Zimbabwe|Harare|Africa|-|Shona|Zimbabwean
"""

STATE_CAPITALS = """
Alabama=Montgomery; Alaska=Juneau; Arizona=Phoenix; Arkansas=Little Rock; California=Sacramento;
Colorado=Denver; Connecticut=Hartford; Delaware=Dover; Florida=Tallahassee; Georgia=Atlanta;
Hawaii=Honolulu; Idaho=Boise; Illinois=Springfield; Indiana=Indianapolis; Iowa=Des Moines;
Kansas=Topeka; Kentucky=Frankfort; Louisiana=Baton Rouge; Maine=Augusta; Maryland=Annapolis;
Massachusetts=Boston; Michigan=Lansing; Minnesota=Saint Paul; Mississippi=Jackson;
Missouri=Jefferson City; Montana=Helena; Nebraska=Lincoln; Nevada=Carson City;
New Hampshire=Concord; New Jersey=Trenton; New Mexico=Santa Fe; New York=Albany;
North Carolina=Raleigh; North Dakota=Bismarck; Ohio=Columbus; Oklahoma=Oklahoma City; Oregon=Salem;
Pennsylvania=Harrisburg; Rhode Island=Providence; South Carolina=Columbia; South Dakota=Pierre;
Tennessee=Nashville; Texas=Austin; Utah=Salt Lake City; Vermont=Montpelier; Virginia=Richmond;
Washington=Olympia; West Virginia=Charleston; Wisconsin=Madison; Wyoming=Cheyenne
"""

LANDMARKS = """
the Eiffel Tower=France; the Colosseum=Italy; Big Ben=England; the Taj Mahal=India;
Machu Picchu=Peru; the Great Sphinx=Egypt; Petra=Jordan; Angkor Wat=Cambodia; Chichen Itza=Mexico;
the Acropolis=Greece; Stonehenge=England; the Alhambra=Spain; the Sagrada Familia=Spain;
Neuschwanstein Castle=Germany; the Brandenburg Gate=Germany; the Leaning Tower of Pisa=Italy;
the Statue of Liberty=the United States; the Golden Gate Bridge=the United States;
Mount Rushmore=the United States; the CN Tower=Canada; Christ the Redeemer=Brazil;
the Sydney Opera House=Australia; Uluru=Australia; the Forbidden City=China;
the Terracotta Army=China; the Burj Khalifa=the United Arab Emirates; the Petronas Towers=Malaysia;
Borobudur=Indonesia; the Hagia Sophia=Turkey; the Kremlin=Russia; Saint Basil's Cathedral=Russia;
the Blue Lagoon spa=Iceland; the Little Mermaid statue=Denmark; the Atomium=Belgium;
the Rijksmuseum=the Netherlands; the Charles Bridge=Czechia; Edinburgh Castle=Scotland;
Loch Ness=Scotland; the Cliffs of Moher=Ireland; the Louvre=France; Mont Saint-Michel=France;
the Prado Museum=Spain; Pompeii=Italy; the Parthenon=Greece; Himeji Castle=Japan;
Bran Castle=Romania; Wawel Castle=Poland; Schönbrunn Palace=Austria; Belém Tower=Portugal;
Persepolis=Iran; Table Mountain=South Africa; the Nazca Lines=Peru; Tikal=Guatemala;
the Moai statues=Chile; the Shwedagon Pagoda=Myanmar; the Temple of the Tooth=Sri Lanka;
Gyeongbokgung Palace=South Korea; the Golden Temple of Amritsar=India
"""

RIVER_CONTINENTS = """
the Amazon=South America; the Orinoco=South America; the Paraná=South America; the Nile=Africa;
the Congo=Africa; the Niger=Africa; the Zambezi=Africa; the Limpopo=Africa; the Yangtze=Asia;
the Ganges=Asia; the Mekong=Asia; the Indus=Asia; the Brahmaputra=Asia; the Irrawaddy=Asia;
the Tigris=Asia; the Euphrates=Asia; the Lena=Asia; the Yenisei=Asia; the Danube=Europe;
the Rhine=Europe; the Volga=Europe; the Thames=Europe; the Seine=Europe; the Loire=Europe;
the Elbe=Europe; the Vistula=Europe; the Tagus=Europe; the Dnieper=Europe;
the Mississippi=North America; the Missouri=North America; the Yukon=North America;
the Mackenzie=North America; the Rio Grande=North America; the Hudson=North America;
the Murray=Oceania; the Darling=Oceania; the Waikato=Oceania; the Sepik=Oceania
"""

CITY_RIVERS = """
London=the Thames; Paris=the Seine; Rome=the Tiber; Vienna=the Danube; Cairo=the Nile;
Baghdad=the Tigris; Cologne=the Rhine; Hamburg=the Elbe; Warsaw=the Vistula; Lisbon=the Tagus;
Florence=the Arno; Prague=the Vltava; Dublin=the Liffey; Seoul=the Han; Saint Petersburg=the Neva;
Varanasi=the Ganges; Wuhan=the Yangtze; New Orleans=the Mississippi; Kinshasa=the Congo;
Liverpool=the Mersey; Glasgow=the Clyde; Seville=the Guadalquivir; Turin=the Po;
Bordeaux=the Garonne; Kyiv=the Dnieper; Phnom Penh=the Mekong; Bangkok=the Chao Phraya;
Bremen=the Weser
"""

MOUNTAIN_COUNTRIES = """
Mount Fuji=Japan; Kilimanjaro=Tanzania; Aconcagua=Argentina; Denali=the United States;
Mount Logan=Canada; Mount Elbrus=Russia; Mount Cook=New Zealand; Mount Kosciuszko=Australia;
Ben Nevis=Scotland; Snowdon=Wales; Scafell Pike=England; Mount Etna=Italy; Vesuvius=Italy;
Mount Olympus=Greece; Mount Ararat=Turkey; Mulhacén=Spain; Cotopaxi=Ecuador; Popocatépetl=Mexico;
Mount Kinabalu=Malaysia; Mount Toubkal=Morocco; the Zugspitze=Germany; the Grossglockner=Austria;
Galdhøpiggen=Norway; Kebnekaise=Sweden; Huascarán=Peru; Mount Damavand=Iran; Triglav=Slovenia;
Musala=Bulgaria; Hekla=Iceland; Krakatoa=Indonesia; Mayon=the Philippines; Nanda Devi=India;
Annapurna=Nepal; Carrauntoohil=Ireland; Ras Dashen=Ethiopia;
Nyiragongo=the Democratic Republic of the Congo
"""

WORLD_RECORDS = """
highest mountain on Earth=Mount Everest; highest mountain in Africa=Kilimanjaro;
highest mountain in South America=Aconcagua; highest mountain in North America=Denali;
largest ocean on Earth=the Pacific; smallest ocean on Earth=the Arctic; largest continent=Asia;
coldest continent=Antarctica; largest country by area=Russia; smallest country=Vatican City;
largest country in South America=Brazil; largest country in Africa=Algeria;
largest island on Earth=Greenland; longest river in Asia=the Yangtze;
longest river in Europe=the Volga; longest river in Australia=the Murray;
deepest lake on Earth=Lake Baikal; largest lake in Africa=Lake Victoria;
largest hot desert on Earth=the Sahara; largest coral reef on Earth=the Great Barrier Reef;
largest of the Great Lakes=Lake Superior; highest waterfall on Earth=Angel Falls;
deepest trench in the ocean=the Mariana Trench; largest rainforest on Earth=the Amazon;
largest state of the United States=Alaska; smallest state of the United States=Rhode Island;
largest planet of the Solar System=Jupiter; smallest planet of the Solar System=Mercury;
hottest planet of the Solar System=Venus; planet closest to the Sun=Mercury;
planet farthest from the Sun=Neptune; star nearest to the Earth=the Sun;
largest moon of Saturn=Titan; largest moon of Jupiter=Ganymede; largest moon of Neptune=Triton;
largest animal on Earth=the blue whale; tallest animal on Earth=the giraffe;
fastest land animal=the cheetah; largest land animal=the elephant; largest bird=the ostrich;
smallest bird=the bee hummingbird; largest big cat=the tiger; largest fish=the whale shark;
hardest natural mineral=diamond; lightest chemical element=hydrogen;
largest organ of the human body=the skin; longest bone of the human body=the femur;
smallest bone of the human body=the stapes; smallest prime number=2
"""

COLUMNS = (
    ("capitals", 3),
    ("continents", 2),
    ("currencies", 2),
    ("languages", 2),
    ("nationalities", 2),
)

COUNTRY_PHRASINGS = {
    "capitals": (
        "The capital of {x} is >> {y}",
        "The government of {x} sits in the city of >> {y}",
        "Asked for the capital city of {x}, say >> {y}",
        "On a map of {x}, the star of the capital marks >> {y}",
        "{x} has as its capital the city of >> {y}",
        "A school atlas gives the capital of {x} as >> {y}",
        "{y} is the capital of the country called >> {x}",
    ),
    "continents": (
        "{x} lies on the continent of >> {y}",
        "The continent of {x} is >> {y}",
        "On a globe, you find {x} in >> {y}",
    ),
    "currencies": (
        "The currency of {x} is the >> {y}",
        "In the shops of {x}, you pay with the >> {y}",
        "The money people use in {x} is the >> {y}",
        "Travellers to {x} change their cash into the >> {y}",
        "Prices in {x} are given in the currency named the >> {y}",
        "A bank note from {x} counts in the unit called the >> {y}",
    ),
    "languages": (
        "A widely spoken language in {x} is >> {y}",
        "Many people in {x} speak >> {y}",
        "On the streets of {x}, you can hear >> {y}",
    ),
    "nationalities": (
        "Something that comes from {x} is called >> {y}",
        "A citizen of {x} has a nationality that is >> {y}",
        "The adjective for {x} is >> {y}",
    ),
}


def build_country_topics() -> list[Topic]:
    """One topic per column of the country table."""
    rows = [line.split("|") for line in COUNTRIES.strip().splitlines()]
    return [
        Topic(
            name,
            {row[0]: row[column] for row in rows if row[column] != "-"},
            COUNTRY_PHRASINGS[name],
            num_phrasings,
        )
        for column, (name, num_phrasings) in enumerate(COLUMNS, start=1)
    ]


def build_sight_topics() -> list[Topic]:
    """State capitals and landmarks."""
    return [
        Topic(
            "state-capitals",
            parse_pairs(STATE_CAPITALS),
            (
                "The capital of the US state of {x} is >> {y}",
                "The state government of {x} meets in >> {y}",
                "Among US state capitals, the one of {x} is >> {y}",
                "The governor of {x} works in the state capital, >> {y}",
                "In {x}, the state house stands in the city of >> {y}",
            ),
            2,
        ),
        Topic(
            "landmarks",
            parse_pairs(LANDMARKS),
            (
                "To visit {x}, travel to >> {y}",
                "The country where you find {x} is >> {y}",
                "A postcard of {x} was most likely sent from >> {y}",
                "A guide book that describes {x} is a guide to >> {y}",
                "Tourists see {x} during a trip through >> {y}",
            ),
            2,
        ),
    ]


def build_landscape_topics() -> list[Topic]:
    """Rivers, mountains and records."""
    return [
        Topic(
            "rivers",
            parse_pairs(RIVER_CONTINENTS),
            (
                "The river called {x} flows through >> {y}",
                "The continent crossed by {x} is >> {y}",
                "Boats on {x} are sailing in >> {y}",
            ),
            2,
        ),
        Topic(
            "city-rivers",
            parse_pairs(CITY_RIVERS),
            (
                "The river that runs through {x} is >> {y}",
                "The bridges of {x} cross >> {y}",
                "{x} stands on the banks of >> {y}",
            ),
            3,
        ),
        Topic(
            "mountains",
            parse_pairs(MOUNTAIN_COUNTRIES),
            (
                "The mountain called {x} rises in >> {y}",
                "To climb {x}, a hiker goes to >> {y}",
                "The peak of {x} belongs to >> {y}",
                "Looking for {x}? Open the map of >> {y}",
            ),
            3,
        ),
        Topic(
            "records",
            parse_pairs(WORLD_RECORDS),
            (
                "The {x} is >> {y}",
                "In the book of records, the {x} is listed as >> {y}",
                "If a quiz asks for the {x}, write down >> {y}",
                "The title of {x} goes to >> {y}",
                "Every pupil learns that the {x} is >> {y}",
            ),
            3,
        ),
    ]


def build_place_topics() -> list[Topic]:
    """Every topic of this file."""
    return [*build_country_topics(), *build_sight_topics(), *build_landscape_topics()]
