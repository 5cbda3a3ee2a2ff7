"""Tables of texts to predict: what is wrong, and where it begins."""

import pytest

from larq_bnnopt.cli.text_inputs import read_texts


@pytest.mark.parametrize(
    "content, message",
    [
        (b'text\n"a\nb"\n"c\nd",e\n', "line 4 has 2 fields, not 1"),
        (b'text\n"a\nb"\n"open\n', "line 4: unexpected end of data"),
        (b"text\n" + b"a " * 70_000, "line 2: a text has more than 131,072 char"),
        (b"text\ncaf\xe9\n", r"no text in UTF-8 .*\. Save it as UTF-8"),
    ],
)
def test_a_record_is_named_by_its_first_line(content, message, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_texts(path)
