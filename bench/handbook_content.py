"""What the sample handbook says, in the files of it that a program writes (build_handbook.py)."""

from __future__ import annotations

# each page of the PDF: heading, then paragraphs; a list of rows is a table
STAFF_HANDBOOK: list[tuple[str, list[str | list[list[str]]]]] = [
    (
        "Working at Saltmarsh Ferries",
        [
            "Staff handbook. Edition of November 2026, for everyone employed by the company, ashore and afloat.",
            (
                "<b>Who we are.</b> Saltmarsh Ferries has sailed between Northbank and Eel Island since "
                "1931. 142 people work for the company: 86 on the ships and 56 ashore. In 2025 we carried 1.2 million passengers "
                "and 214,000 vehicles."
            ),
            "<b>Our ships.</b>",
            [
                ["Ship", "Built", "Passengers", "Cars", "Crew", "Drive"],
                ["Curlew", "2004", "380", "62", "9", "diesel"],
                ["Avocet", "2013", "450", "74", "9", "diesel-electric"],
                ["Sandpiper", "2022", "300", "48", "7", "battery"],
            ],
            "The crossing is 11.5 kilometres long and takes 35 minutes. Sandpiper charges for nine minutes at each quay.",
            (
                "<b>Where we are.</b> Head office: Ferry House, 4 Quay Road, Northbank. Reception (extension 100) is staffed "
                "Monday to Friday from 7:00 to 18:00. The duty desk (extension 200) is staffed at all hours."
            ),
            (
                "<b>How to use this handbook.</b> It describes what applies to everyone. Leave, expenses, visitors and computers "
                "have rules of their own, which go further into detail. Where two texts disagree, the newer one counts; tell the "
                "personnel office (extension 220) about it."
            ),
        ],
    ),
    (
        "Working hours and rotas",
        [
            (
                "The working week has <b>38 hours</b>. Ashore, core time is from 9:30 to 15:00; the rest of the day is free to "
                "arrange between 6:00 and 20:00. Afloat, the rota decides."
            ),
            (
                "<b>Rotas</b> are published <b>four weeks</b> ahead, on a Thursday. Changes later than that need your consent, "
                "except in an emergency at sea. Swapping a shift with a colleague of the same certificate is allowed until 24 "
                "hours before it begins; enter it in the rota program, the shift planner (extension 225) need not agree."
            ),
            (
                "<b>Rest.</b> Between two shifts lie at least eleven hours. Nobody works on a ship for more than twelve hours in "
                "a day. A master who is too tired to sail says so, and nobody may hold it against the master."
            ),
            (
                "<b>Breaks</b> last 30 minutes in a shift of more than six hours and 45 minutes in one of more than nine. On "
                "board they count as working time."
            ),
            (
                "<b>Overtime</b> is written down on the same day. Up to 20 hours are kept on your time account; beyond that "
                "they are paid with a supplement of 25 per cent."
            ),
            (
                "<b>Working from home</b> is possible ashore for up to <b>two days a week</b>, agreed with the head of "
                "department. Control room, cash office and reception cannot be worked from home."
            ),
        ],
    ),
    (
        "Pay and benefits",
        [
            "Wages are paid on the <b>25th</b> of the month, or on the working day before.",
            [
                ["Supplement", "Per cent of the hourly wage", "Hours"],
                ["Night", "18", "22:00 to 6:00"],
                ["Sunday", "30", "0:00 to 24:00"],
                ["Public holiday", "100", "0:00 to 24:00"],
                ["Stand-by", "40", "as ordered"],
            ],
            (
                "If several supplements meet, only the highest is paid. The night supplement was renegotiated in October 2026: "
                "see the minutes of the staff council for the figure that applies from January 2027."
            ),
            (
                "<b>Free travel.</b> Staff and one person living with them travel free on all our ferries; a car costs half. "
                "Show your staff pass at the gate."
            ),
            "<b>Pension.</b> The company pays 6 per cent of the wage into the pension fund if you pay at least 2 per cent.",
            (
                "<b>Meals.</b> The canteen in Ferry House serves lunch from 11:30 to 13:45 for 4.60 euros. On board the meal is "
                "free for the crew on duty."
            ),
            (
                "<b>Learning.</b> Five days a year for courses that serve your work. The company pays certificates that the law "
                "requires, including the journey."
            ),
        ],
    ),
    (
        "Safety on board and ashore",
        [
            (
                "<b>Every sailing</b> begins with a head count and a radio check. The ramp is closed two minutes before "
                "departure; nobody opens it again, for whomever."
            ),
            (
                "<b>Alarm signals.</b> Seven short blasts and one long: go to your muster station with your life jacket. One "
                "continuous ring: fire, close doors and report to the bridge (extension 300). Muster station A is on the upper "
                "deck forward, muster station B on the upper deck aft."
            ),
            (
                "<b>Drills.</b> A fire drill every month on each ship, an evacuation drill every three months, a drill for a "
                "person overboard every month. New crew members take part in one of each before they stand a watch alone."
            ),
            (
                "<b>Alcohol and drugs.</b> The limit on duty is zero. The company may test at random; a refusal counts as a "
                "positive test."
            ),
            (
                "<b>Protective gear.</b> Life jacket on the car deck whenever the ramp is open. Helmet and safety shoes during "
                "loading of lorries. Ear protection in engine rooms."
            ),
            (
                "<b>Near misses</b> are reported within 24 hours with form S2. Nobody is punished for what is reported there. "
                "In 2025 there were 61 reports and three accidents with lost time."
            ),
            (
                "<b>Battery fires.</b> On Sandpiper no water is used in the battery room: flood it with nitrogen at the panel of "
                "deck 2, and leave the deck."
            ),
        ],
    ),
    (
        "Conduct, confidentiality and complaints",
        [
            (
                "<b>With passengers</b> we are patient and exact. Lost property goes to the ticket hall in Northbank the same "
                "day and is kept for <b>90 days</b>."
            ),
            (
                "<b>Gifts</b> worth up to 25 euros may be kept; anything dearer is handed to the head of department. Money is "
                "never accepted, except tips in the cafeteria, which are shared."
            ),
            (
                "<b>Confidentiality.</b> Passenger data, rotas and crew certificates leave the company only through the data "
                "protection officer (extension 270). Enquiries from the press go to the head of communications (extension 290)."
            ),
            (
                "<b>Recording.</b> Cameras on the car decks keep their pictures for 72 hours. Nobody is filmed at work for the "
                "purpose of assessing them."
            ),
            (
                "<b>Complaints.</b> Speak with your supervisor, the staff council (extension 280) or the ombudsperson, who is "
                "bound to secrecy. An answer comes within ten working days."
            ),
            (
                "<b>Leaving.</b> Notice is one month in the first two years and three months after that. Staff pass, keys, "
                "devices and uniform are returned on the last day."
            ),
        ],
    ),
]

IT_RULES: list[tuple[str, list[str]]] = [
    (
        "Passwords and accounts",
        [
            "A password has at least 14 characters. It is changed only when it may have become known, not on a schedule.",
            "Accounts are personal. Nobody asks for your password, not even the IT desk; whoever asks is a case for the IT desk.",
            "Mail, rota program and remote access need a second factor: the company's key fob or the app on the company phone.",
            "Five wrong passwords lock an account for 15 minutes.",
        ],
    ),
    (
        "Devices",
        [
            "Lock the screen when you leave your place. It locks itself after five minutes, on bridge computers never.",
            "A lost or stolen device is reported to the IT desk (extension 250) within one hour, at any time of day.",
            "Only USB sticks issued by the IT desk may be used; blue and encrypted. Bridge computers accept none at all.",
            "Software is installed by the IT desk only. Requests are answered within three working days.",
            "Laptops are replaced every four years, phones every three.",
        ],
    ),
    (
        "Mail and messages",
        [
            "Suspicious mail is reported with the button 'Report'. Do not forward it. The IT desk answers within two hours.",
            "Company mail is not forwarded to private addresses.",
            "Mail is deleted automatically after three years unless it is filed in a folder named 'Keep'.",
            "Messages about passengers or crew members may be sent with company programs only, never with private messengers.",
        ],
    ),
    (
        "Data and backup",
        [
            "Files belong on drive S, which is backed up every night at 2:00. Backups are kept for 90 days.",
            "To get a deleted file back, write to the IT desk; files of the last 90 days are restored within one working day.",
            (
                "Documents of the classes 'internal' and 'confidential' are not entered into services on the internet, including "
                "translators and assistants. The assistant on the company's own box may be used for both classes."
            ),
            "Personnel files are never copied to laptops.",
        ],
    ),
    (
        "Working away from the office",
        [
            "Remote access works through the company's tunnel only. It closes after ten hours.",
            "On trains and in cafes use the privacy filter; telephone calls about colleagues wait until you are alone.",
            "Journeys abroad with a laptop are announced to the IT desk one week ahead.",
        ],
    ),
]

PRICES: dict[str, list[list[str | float | int]]] = {
    "Passengers": [
        ["Ticket", "Single (EUR)", "Return (EUR)", "Remark"],
        ["Adult", 9.80, 17.60, ""],
        ["Child 6 to 14", 4.90, 8.80, "under 6 free"],
        ["Student or pensioner", 7.40, 13.20, "with a pass"],
        ["Family", 24.50, 44.00, "two adults and up to four children"],
        ["Group, per person", 7.80, 14.00, "from ten people, booked two days ahead"],
        ["Dog", 3.00, 6.00, "guide dogs free"],
    ],
    "Vehicles": [
        ["Vehicle", "Single (EUR)", "Return (EUR)", "Remark"],
        ["Bicycle", 3.50, 6.00, "cargo bicycle 5.00"],
        ["Motorcycle", 11.00, 20.00, "driver included"],
        ["Car up to 5 metres", 26.50, 48.00, "driver included"],
        ["Car with trailer up to 12 metres", 41.00, 76.00, "driver included"],
        ["Camper up to 7 metres", 38.00, 70.00, "driver included"],
        ["Lorry, per metre", 7.90, 15.80, "not from Beaufort 8"],
        ["Electric car, charging on board", 6.00, 12.00, "Avocet and Sandpiper only"],
    ],
    "Season tickets": [
        ["Ticket", "Price (EUR)", "Valid", "Remark"],
        ["Ten crossings, adult", 78.00, "two years", "may be handed on"],
        ["Monthly ticket, adult", 112.00, "one month", "with photograph"],
        ["Monthly ticket, student", 74.00, "one month", ""],
        ["Island ticket, residents", 640.00, "one year", "proof of residence"],
        ["Ten crossings, car", 228.00, "two years", "driver included"],
    ],
    "Fees": [
        ["Service", "Price (EUR)", "Remark", ""],
        ["Change of a reservation", 4.00, "free until 24 hours before", ""],
        ["Lost season ticket", 15.00, "once a year", ""],
        ["Left luggage, per day", 5.00, "Northbank only", ""],
        ["Meeting room on board, half a day", 180.00, "Avocet, up to 24 people", ""],
        ["Wedding on board, sun deck", 950.00, "April to October, up to 60 guests", ""],
    ],
}

SLIDES: list[tuple[str, list[str]]] = [
    ("Your first week at Saltmarsh Ferries", ["Induction for new colleagues", "Personnel office, edition of September 2026"]),
    (
        "Day 1: arriving",
        [
            "8:30 at reception of Ferry House with an identity document",
            "Staff pass, keys and locker from building services (extension 240)",
            "10:00 tour with your mentor; every newcomer has one for six months",
            "12:00 lunch in the canteen, on the house on the first day",
        ],
    ),
    (
        "Day 2: computers",
        [
            "9:00 IT desk: account, second factor, phone",
            "Read the IT rules and sign for them",
            "Short course on suspicious mail, 40 minutes",
        ],
    ),
    (
        "Day 3: safety",
        [
            "Fire extinguishers and first aid, 8:00 to 11:00",
            "Life jacket and muster stations on Curlew, 13:00 to 15:30",
            "Crew members: sea survival training within the first three months",
        ],
    ),
    (
        "Day 4: a day on the ferries",
        [
            "All newcomers sail for one day, whatever their post",
            "Dark clothing and flat shoes; jackets are lent",
            "Ashore staff help in the ticket hall from 14:00 to 17:00",
        ],
    ),
    (
        "Day 5: questions",
        [
            "11:00 round of questions with the managing director",
            "Probation lasts six months; there are talks after one, three and five months",
            "Uniform: two jackets, four shirts, three pairs of trousers; cleaned free of charge on Wednesdays",
        ],
    ),
]

MINUTES: list[tuple[str, list[str]]] = [
    (
        "Present",
        [
            (
                "The five members of the council, the managing director, the head of personnel, the chief engineer of Avocet "
                "as a guest. The delegate of the ticket hall sent apologies. The secretary of the council took the minutes."
            ),
        ],
    ),
    (
        "1. Night supplement",
        [
            (
                "The council asked for 25 per cent, the company offered 20. Agreed: the night supplement rises from 18 to 22 per "
                "cent from 1 January 2027. The other supplements stay as they are. Carried with four votes to one."
            ),
        ],
    ),
    (
        "2. Canteen",
        [
            (
                "The price of lunch rises from 4.60 to 4.90 euros on 1 December 2026, the first rise in three years. In return a "
                "meal without meat is offered every day. Carried unanimously."
            ),
        ],
    ),
    (
        "3. Winter jackets",
        [
            (
                "The new jackets are waterproof for eight hours instead of three. 96 are ordered at 134 euros each, from the "
                "budget of 2026. The chief engineer asked for reflecting stripes on the sleeves; the head of personnel will have "
                "this done at no extra cost. Delivery by 20 November 2026."
            ),
        ],
    ),
    (
        "4. Bicycle shed at Ferry House",
        [
            (
                "The shed for 40 bicycles costs 18,500 euros. The managing director wants a second offer. Postponed to the "
                "December meeting."
            ),
        ],
    ),
    (
        "5. Yard time of Avocet",
        [
            (
                "Avocet is in the yard from 11 January to 5 February 2027. Her crew may take leave, go to the yard or take "
                "courses; nobody loses supplements of the rota already published. The shift planner sends out the choice by 27 "
                "November."
            ),
        ],
    ),
    (
        "6. Any other business",
        [
            (
                "The coffee machine in the crew house is repaired. The council thanked the night crew of Curlew for the "
                "rescue of a sailing boat on 2 October."
            ),
            "Next meeting: 9 December 2026, 14:00, meeting room 2, Ferry House.",
        ],
    ),
]
