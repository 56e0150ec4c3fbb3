"""Parsers of the HTML pages, for tests."""

from html.parser import HTMLParser

# Tags without content, or whose end tag does not matter.
EMPTY = {"meta", "img", "br", "path", "use", "rect", "circle", "polygon", "line"}


class Reader(HTMLParser):
    """Tags that are not closed, URLs that the page would load, and the texts of its pictures for a screen reader."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.pictures: list[str | None] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag != "a":
            self.loaded += [given[name] for name in ("src", "href", "xlink:href") if name in given]
        if tag in ("svg", "img") and given.get("aria-hidden") != "true":
            self.pictures.append(given.get("aria-label") or given.get("alt"))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()


class Outline(HTMLParser):
    """What a screen reader navigates by: heading levels, landmarks, ids and links to them, header cells of tables."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.landmarks: set[str] = set()
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.cells_without_scope = 0
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            self.headings.append(int(tag[1]))
        self.landmarks |= {tag} & {"header", "nav", "main", "footer"}
        self.ids += [given["id"]] if "id" in given else []
        self.targets += [given["href"][1:]] if tag == "a" and given.get("href", "").startswith("#") else []
        self.cells_without_scope += tag == "th" and "scope" not in given
