"""What a verdict means and what it cannot tell, in plain words: English, German, French, Spanish, in that order."""

from collections.abc import Mapping
from typing import Final

from core.provenance.card import LOCALES

Said = tuple[str, str, str, str]

SUMMARIES: Final[Mapping[str, Said]] = {
    "genuine": (
        "This picture was made by Likeness and has not been changed since.",
        "Dieses Bild wurde von Likeness erstellt und seitdem nicht verändert.",
        "Cette image a été créée par Likeness et n’a pas été modifiée depuis.",
        "Esta imagen fue creada por Likeness y no se ha modificado desde entonces.",
    ),
    "altered": (
        "This picture carries Likeness’s signed record, and was changed after it was signed.",
        "Dieses Bild trägt den Nachweis von Likeness, wurde aber danach verändert.",
        "Cette image porte le certificat de Likeness, mais elle a été modifiée ensuite.",
        "Esta imagen lleva el certificado de Likeness, pero se modificó después.",
    ),
    "marked": (
        "This is a copy of a picture made by Likeness. It lost its signed record on the way.",
        "Dies ist die Kopie eines Bildes von Likeness. Der signierte Nachweis ging unterwegs verloren.",
        "Ceci est la copie d’une image créée par Likeness. Son certificat signé s’est perdu en route.",
        "Esta es una copia de una imagen creada por Likeness. Perdió su certificado firmado por el camino.",
    ),
    "erased": (
        "This picture was made by Likeness and has been erased.",
        "Dieses Bild wurde von Likeness erstellt und inzwischen gelöscht.",
        "Cette image a été créée par Likeness et a été effacée depuis.",
        "Esta imagen fue creada por Likeness y ha sido eliminada.",
    ),
    "unknown": (
        "Nothing in this picture says that it was made by Likeness.",
        "Nichts an diesem Bild deutet darauf hin, dass es von Likeness stammt.",
        "Rien dans cette image n’indique qu’elle a été créée par Likeness.",
        "Nada en esta imagen indica que fuera creada por Likeness.",
    ),
}

LIMITS: Final[Mapping[str, tuple[Said, ...]]] = {
    "genuine": (
        (
            "It does not say who is in the picture, or that the photo it was made from was true.",
            "Das sagt nicht, wer auf dem Bild ist, und auch nicht, dass das ursprüngliche Foto echt war.",
            "Cela ne dit ni qui est sur l’image, ni que la photo d’origine était authentique.",
            "Esto no dice quién aparece en la imagen ni que la foto original fuera auténtica.",
        ),
    ),
    "altered": (
        (
            "What was changed, or by whom, cannot be told.",
            "Was verändert wurde und von wem, lässt sich nicht sagen.",
            "On ne peut dire ni ce qui a été modifié, ni par qui.",
            "No se puede saber qué se modificó ni quién lo hizo.",
        ),
        (
            "A signed record can be taken from one picture and put into another: this one may show something else.",
            "Ein signierter Nachweis lässt sich in ein anderes Bild übertragen: Dieses zeigt vielleicht etwas anderes.",
            (
                "Un certificat signé peut être prélevé sur une image et placé dans une autre : celle-ci montre"
                " peut-être autre chose."
            ),
            "Un certificado firmado puede sacarse de una imagen y ponerse en otra: esta puede mostrar algo distinto.",
        ),
    ),
    "marked": (
        (
            "What was changed in the copy cannot be told: the mark says where it is from, not that it is whole.",
            (
                "Was an der Kopie verändert wurde, lässt sich nicht sagen: Das Zeichen nennt die Herkunft des Bildes,"
                " nicht seine Unversehrtheit."
            ),
            (
                "On ne peut dire ce qui a été modifié dans la copie : la marque indique d’où vient l’image,"
                " non qu’elle est intacte."
            ),
            (
                "No se puede saber qué se modificó en la copia: la marca indica de dónde procede la imagen, no que esté"
                " intacta."
            ),
        ),
        (
            "A mark can be carried over to another picture by somebody determined to deceive.",
            "Wer täuschen will, kann das Zeichen mit einigem Aufwand auf ein anderes Bild übertragen.",
            "Une personne décidée à tromper peut reporter la marque sur une autre image.",
            "Alguien decidido a engañar puede trasladar la marca a otra imagen.",
        ),
    ),
    "erased": (),
    "unknown": (
        (
            "That does not say that no computer made or changed it: other makers leave other marks.",
            "Das heißt nicht, dass es kein Computer erstellt oder verändert hat: Andere hinterlassen andere Zeichen.",
            "Cela ne veut pas dire qu’aucun ordinateur ne l’a créée ou modifiée : d’autres laissent d’autres marques.",
            "Eso no significa que ningún ordenador la haya creado o modificado: otros dejan otras marcas.",
        ),
        (
            "Marks can be lost to strong edits, small crops and heavy compression.",
            "Zeichen können durch starke Bearbeitung, kleine Ausschnitte und starke Kompression verloren gehen.",
            "Les marques peuvent disparaître après de fortes retouches, un recadrage serré ou une forte compression.",
            "Las marcas pueden perderse con ediciones intensas, recortes pequeños o mucha compresión.",
        ),
    ),
}

OFFLINE: Final[Said] = (
    "Whether the picture was erased since cannot be told without asking the service that made it.",
    "Ob das Bild inzwischen gelöscht wurde, kann nur der Dienst sagen, der es erstellt hat.",
    "Seul le service qui l’a créée peut dire si l’image a été effacée depuis.",
    "Solo el servicio que la creó puede decir si la imagen ha sido eliminada desde entonces.",
)
NOT_LOOKED: Final[Said] = (
    "The invisible mark was not looked for: that takes the key of the service.",
    "Nach dem unsichtbaren Zeichen wurde nicht gesucht: Dazu braucht es den Schlüssel des Dienstes.",
    "La marque invisible n’a pas été recherchée : il faut pour cela la clé du service.",
    "No se buscó la marca invisible: para ello hace falta la clave del servicio.",
)


def in_locale(said: Said, locale: str) -> str:
    """One of the four. A locale that is not there is English."""
    return said[LOCALES.index(locale) if locale in LOCALES else 0]
