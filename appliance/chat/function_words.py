"""The closed word classes (articles, pronouns, prepositions, conjunctions, auxiliaries, question words) of seven languages.

They carry no meaning of their own, so they are not counted when a text is compared with a question or a sentence with its
source. In a language that is not here they count like any other word, which makes the appliance more careful, not less. Of the
English ones only those stand here that are terms at all: the commonest are none to begin with (appliance/retrieval/terms.py).
"""

from __future__ import annotations

BY_LANGUAGE = {
    "en": """
        done either may might must please shall tell us whose someone something anyone anything many much way happen happens
        mean means happened long often far old early late
    """,
    "de": """
        oft lang lange hoch weit gibt darf dürfen
        aber alle als also am an auch auf aus bei bin bis da das dass dem den der des die dies diese dieser dieses
        doch dort du durch ein eine einem einen einer eines er es euch für hat habe haben hatte ich ihm ihn ihr ihre
        im in ist ja kann kein keine können man mein mich mir mit muss müssen nach nicht noch nur ob oder ohne sein
        seine sich sie sind so soll sollen über um und uns unser unter viel viele vom von vor wann war warum was
        welche welcher welches wem wen wenn wer werden wie wieviel wir wird wo wurde zu zum zur
    """,
    "es": """
        al algo ante aquí como con contra cual cuál cuales cuando cuándo cuánto cuánta cuántos cuántas de debe deben
        del desde donde dónde durante el él ella ellas ellos en entre era eres es esa ese eso esta está están este
        esto estos fue ha hace hacia han hasta hay la las le les lo los más me mi mientras mucho muy ni no nos o para
        pero por porque pueda puede pueden puedo qué que quién quien se según ser si sí sin sobre son su sus también
        tiene tienen toda todas todo todos tu tus un una uno unos y ya yo
    """,
    "pt": """
        à ao aos as às até com como da das de dela dele deve devem do dos e é ela ele eles em entre era essa esse esta
        este eu foi há isso isto já lhe mais mas me mesmo meu minha muito na não nas nem no nos nós num numa o onde os
        ou para pela pelas pelo pelos pode podem por porquê posso qual quais quando quanto quanta quantos quantas que
        quem se sem ser seu são só sobre sua também tem têm um uma você
    """,
    "fr": """
        à au aux avec ce ces cet cette comme comment dans de des doit doivent donc du elle elles en est et être eu
        faut il ils je jusque la le les leur leurs lui ma mais me mes moi mon même ne nos notre nous on ont ou où par
        pas peut peuvent peux plus pour pourquoi quand que quel quelle quelles quels qui quoi sa sans se ses si son
        sont sous sur ta te tes toi ton tous tout très tu un une vos votre vous y
    """,
    "it": """
        agli ai al alla alle allo anche che chi ci come con cosa cui da dagli dai dal dalla dalle degli dei del della
        delle deve devono di dove è e ed essere fra gli ha hanno ho i il in io la le lei lo loro lui ma mi mio ne nei
        nel nella nelle non noi o ogni per perché più può possono posso qual quale quali quando quanto quanti quante
        questa questo se si sia sono su sua sue sul sulla suo suoi tra tu un una uno vi voi
    """,
    "nl": """
        aan al als bij dan dat de deze die dit door een en er haar had heb hebben heeft hem het hij hoe hun ik in is
        je kan kunnen maar me men met mijn moet moeten mogen na naar niet nog nu of om onder ons ook op over te tot
        uit van veel voor waar waarom wanneer wat we wel welke werd wie wij worden wordt zal ze zich zij zijn zo
        zonder zou
    """,
}

NEGATIONS = """
    no not never none nobody nothing neither nor without cannot can't don't doesn't didn't isn't aren't won't mustn't shouldn't
    nicht kein keine keinen keinem keiner keines nie niemals niemand nichts ohne weder
    nunca jamás nadie nada ni sin tampoco ningún ninguno ninguna não ninguém nem sem nenhum nenhuma
    ne n' pas jamais aucun aucune rien sans non mai nessuno nessuna niente né senza niet geen nooit niemand niets zonder
"""
"""Words that turn a statement round."""

CONTRARIES = (
    (
        "minute minutes minuten minuto minutos",
        "hour hours stunde stunden hora horas",
        "day days tag tage tagen día días dia dias",
        "week weeks woche wochen semana semanas",
        "month months monat monate monaten mes meses mês",
        "year years jahr jahre jahren año años ano anos",
    ),
    ("before earlier vor vorher früher antes", "after later nach nachher später después luego depois"),
    (
        "above over more exceed exceeds exceeding least minimum über mehr mindestens más mayor mínimo acima mais maior",
        "below under less fewer most maximum unter weniger höchstens menos menor máximo abaixo",
    ),
    ("must shall muss müssen debe deben deve devem", "may can darf dürfen kann können puede pueden pode podem"),
    (
        "all every each always alle jeder jede jedes immer todo todos toda todas siempre sempre",
        "some sometimes few einige manche manchmal algunos algunas pocos alguns algumas poucos",
    ),
    (
        "new neu neue neuen nuevo nueva nuevos nuevas novo nova novos novas",
        "old alt alte alten viejo vieja antiguo antigua velho velha",
    ),
    ("early früh temprano cedo", "late spät tarde"),
    ("first erste ersten primero primera primeiro primeira", "last letzte letzten último última"),
)
"""Words that mean little to a search and exclude each other in a claim: lines of one kind, each line words of one meaning."""
