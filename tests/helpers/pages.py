"""Reading the HTML pages as a browser would."""

from html.parser import HTMLParser

EMPTY = {
    "meta",
    "img",
    "br",
    "path",
    "use",
    "rect",
    "circle",
    "polygon",
    "line",
}  # tags that hold nothing, or whose end does not matter


class Reader(HTMLParser):
    """Tags that were opened and not closed, what the page would load, and what its pictures say to a screen reader."""

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
    """What a screen reader goes by: levels of the headings, landmarks, ids and links to them, headers of tables."""

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
