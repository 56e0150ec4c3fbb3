"""Read position, date, heading and artist from EXIF: to import a collection that is trained on, never to predict."""

from typing import Any

from PIL import ExifTags, Image

from homing.photos.images import PhotoError, open_image

GPS, BASE = ExifTags.GPS, ExifTags.Base


def read_exif(data: bytes) -> dict[str, str]:
    """Return latitude, longitude and, where given, captured_at, heading_deg and author, as text.

    Raises PhotoError if the image or its EXIF is unreadable, or has no position.
    """
    exif = _exif(open_image(data))
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    if not gps.get(GPS.GPSLatitude) or not gps.get(GPS.GPSLongitude):
        raise PhotoError("no GPS position in its EXIF")
    row = {
        "latitude": _degrees(gps[GPS.GPSLatitude], gps.get(GPS.GPSLatitudeRef, "N")),
        "longitude": _degrees(gps[GPS.GPSLongitude], gps.get(GPS.GPSLongitudeRef, "E")),
    }
    taken = exif.get_ifd(ExifTags.IFD.Exif).get(BASE.DateTimeOriginal) or exif.get(BASE.DateTime)
    if isinstance(taken, str) and taken[:4].isdigit() and taken[:4] != "0000":
        row["captured_at"] = taken.strip("\0 ")[:10].replace(":", "-") + taken.strip("\0 ")[10:]
    if gps.get(GPS.GPSImgDirection) is not None:
        row["heading_deg"] = repr(float(gps[GPS.GPSImgDirection]))
    if isinstance(exif.get(BASE.Artist), str):
        row["author"] = exif[BASE.Artist].strip("\0 ")
    return row


def has_gps(image: Image.Image) -> bool:
    """True if the EXIF of an image holds coordinates; unreadable EXIF does not."""
    try:
        gps = _exif(image).get_ifd(ExifTags.IFD.GPSInfo)
    except (PhotoError, OSError, ValueError, SyntaxError, KeyError, TypeError):
        return False
    return bool(gps.get(GPS.GPSLatitude) or gps.get(GPS.GPSLongitude))


def _exif(image: Image.Image) -> Image.Exif:
    try:
        return image.getexif()
    except (OSError, ValueError, SyntaxError, KeyError, TypeError) as error:
        raise PhotoError(f"unreadable EXIF ({type(error).__name__})") from None


def _degrees(parts: Any, side: Any) -> str:
    """Convert degrees, minutes and seconds with N, S, E or W to signed degrees, as text."""
    try:
        degrees, minutes, seconds = (float(part) for part in parts)
    except (TypeError, ValueError, ZeroDivisionError):
        raise PhotoError("unreadable GPS position in its EXIF") from None
    value = degrees + minutes / 60 + seconds / 3600
    side = side.decode("ascii", "replace") if isinstance(side, bytes) else str(side)
    return repr(-value if side.strip("\0 ").upper() in ("S", "W") else value)
