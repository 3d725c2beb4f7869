import numpy as np

from tests.fake_embedder import FakeEmbedder


def test_fake_vectors_are_unit_repeatable_and_near_for_near_texts():
    fake = FakeEmbedder()
    texts = ["환불 규정을 알려 주세요", "환불 규정은 어디에 있나요", "quarterly revenue table", ""]
    vectors = fake.embed(texts)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(vectors, FakeEmbedder().embed(texts))
    assert vectors[0] @ vectors[1] > 0.3 > vectors[0] @ vectors[2]
    assert fake.embedded == 4
