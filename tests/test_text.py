import pytest

from bench.text import code, escape, escape_mentions, fenced, one_line


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a|b", r"a\|b"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("*bold* _it_ `code`", r"\*bold\* \_it\_ \`code\`"),
        ("line\nbreak\r\n# head", r"line break \# head"),
        ("vit_32px_s", "vit_32px_s"),
        ("[x](javascript:y)", r"\[x\](javascript:y)"),
        ("$x^2$ ~~no~~", r"\$x^2\$ \~\~no\~\~"),
        ("https://a.b", "https:&#8203;//a.b"),
        ("- item", r"\- item"),
        ("1. item", r"1\. item"),
        ("a & b", "a &amp; b"),
        ("back\\slash", r"back\\slash"),
    ],
)
def test_names_are_shown_and_never_interpreted(name, shown):
    assert escape(name) == shown


def test_a_fence_is_longer_than_any_in_its_text():
    assert fenced("a ``` b") == "````\na ``` b\n````"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("vit_32px_s", "`vit_32px_s`"),
        ("base (1234)", "`base (1234)`"),
        ("path/to.py:build", "`path/to.py:build`"),
        ("a|b`", "<code>a&#124;b&#96;</code>"),
        ("_a_", "`_a_`"),
        ("https://a.b|", "<code>https&#58;//a.b&#124;</code>"),
        ("a\nb", "`a b`"),
    ],
)
def test_code_shows_any_name_and_no_markup(name, shown):
    assert code(name) == shown


def test_nobody_is_called_by_a_sentence():
    assert escape_mentions("ask @me or @a/b about #12, not me@b.c") == (
        "ask @&#8203;me or @&#8203;a/b about \\#&#8203;12, not me@b.c"
    )


def test_characters_that_control_a_terminal_are_dropped():
    assert one_line("red\x1b[31m name\x07") == "red[31m name"
    assert "\x1b" not in escape("a\x1b]0;title\x07|b")
