import pytest

from bench.markdown_text import escape, fenced


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
