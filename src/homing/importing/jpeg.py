"""Remove the metadata of a JPEG, EXIF (with GPS), XMP, IPTC and comments, without touching its image data.

Segments as in ITU-T T.81, annex B. What follows the end of the image (a second image, a video) is removed too.
"""

from homing.photos.images import PhotoError

START, END, SCAN = 0xD8, 0xD9, 0xDA
KEPT_APPLICATION = {0xE0: b"JFIF", 0xE2: b"ICC_PROFILE", 0xEE: b"Adobe"}  # needed to decode the colours
COMMENT = 0xFE


def without_metadata(data: bytes) -> bytes:
    """Return the same JPEG without its metadata. Raises PhotoError if its segments cannot be parsed."""
    if data[:2] != b"\xff\xd8":
        raise PhotoError("not a JPEG")
    parts, position = [data[:2]], 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            raise PhotoError("broken image (no JPEG segment where one is due)")
        kind = data[position + 1]
        if kind == 0xFF:  # fill byte
            position += 1
            continue
        if kind == SCAN:
            end = data.rfind(b"\xff\xd9", position) if _is_last_image(data, position) else _end_of_scan(data, position)
            parts.append(data[position : end + 2])
            return b"".join(parts)
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        segment = data[position : position + 2 + length]
        if length < 2 or len(segment) < 2 + length:
            raise PhotoError("broken image (a JPEG segment is cut off)")
        if not _is_metadata(kind, segment[4:]):
            parts.append(segment)
        position += 2 + length
    raise PhotoError("broken image (no picture data)")


def _is_metadata(kind: int, content: bytes) -> bool:
    """True for comments, and for application segments except those that decoding needs."""
    if 0xE0 <= kind <= 0xEF:
        return not content.startswith(KEPT_APPLICATION.get(kind, b"\0no such\0"))
    return kind == COMMENT


def _is_last_image(data: bytes, position: int) -> bool:
    """True if no other image begins behind the scan, so that the last end marker belongs to this one."""
    return data.find(b"\xff\xd8\xff", position) < 0 and data.endswith(b"\xff\xd9")


def _end_of_scan(data: bytes, position: int) -> int:
    """Return the position of the image's own end marker: the first behind entropy-coded data or a segment."""
    while True:
        marker = data.find(b"\xff", position + 1)
        if marker < 0 or marker + 1 >= len(data):
            raise PhotoError("broken image (no end of the picture)")
        kind = data[marker + 1]
        if kind == END:
            return marker
        if kind in (0x00, 0xFF) or 0xD0 <= kind <= 0xD7:  # a stuffed byte, a fill byte, a restart
            position = marker if kind == 0xFF else marker + 1
            continue
        length = int.from_bytes(data[marker + 2 : marker + 4], "big")  # tables or a further scan of a progressive JPEG
        position = marker + 1 + max(2, length)
