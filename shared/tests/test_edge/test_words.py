"""A reason says something, wherever one is asked for: blanks alone are refused, in ASCII or as Chinese keyboards write them."""

import pytest
from pydantic import TypeAdapter, ValidationError
from tenure.edge import Words

WORDS = TypeAdapter(Words)


@pytest.mark.parametrize("given", ["fraud case 77", " padded ", "客户投诉补偿", "x", "a\u3000b"])
def test_words_are_taken_as_they_are(given: str) -> None:
    assert WORDS.validate_python(given) == given


@pytest.mark.parametrize("given", ["", " ", "   ", "\u3000\u3000", "\u00a0", "\t", "a\nb", "a\x00"])
def test_blanks_and_what_is_no_line_are_refused(given: str) -> None:
    with pytest.raises(ValidationError):
        WORDS.validate_python(given)
