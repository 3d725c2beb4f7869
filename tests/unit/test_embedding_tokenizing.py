import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.embedding.tokenizing import TokenWindow

ROWS = st.lists(st.lists(st.integers(1, 1000), max_size=12), min_size=1, max_size=20)


@given(ROWS, st.booleans(), st.data())
def test_padding_gives_back_every_text_and_masks_the_rest(texts, left, data):
    window = TokenWindow.of(texts)
    chosen = data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=1, max_size=8))
    ids, mask = window.pad(np.array(chosen), 7777, left=left)
    assert ids.shape == mask.shape == (len(chosen), max(1, *(len(texts[i]) for i in chosen), 1))
    for row, i in enumerate(chosen):
        assert ids[row][mask[row] == 1].tolist() == texts[i]
        assert set(ids[row][mask[row] == 0].tolist()) <= {7777}
        filled = np.flatnonzero(mask[row])
        if len(filled):
            assert filled[-1 if left else 0] == (ids.shape[1] - 1 if left else 0)


def test_a_window_of_no_texts_has_no_lengths():
    assert TokenWindow.of([]).lengths.tolist() == []
