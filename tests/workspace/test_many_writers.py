from benchmarks.writers import measure_writers

DECISIONS = 20


def test_three_writers_beside_a_reader_and_an_index_build_lose_nothing(tmp_path):
    found = measure_writers(tmp_path / "ws", DECISIONS)
    assert found["failed_processes"] == 0
    assert found["events"] == 3 * DECISIONS
    assert found["indexes"] == ["complete"]
