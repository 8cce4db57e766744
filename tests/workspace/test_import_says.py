"""What `lorif import` says about the columns of a file."""

from tiny_workspace import done


def test_a_column_without_a_name_is_called_unnamed(tmp_path):
    (tmp_path / "rows.csv").write_text("id,text,,share\n1,a,1,5%\n2,b,2,10%\n")
    said = " ".join(done("import", tmp_path / "ws", tmp_path / "rows.csv").out.split())
    assert "Types: id int, unnamed int." in said
    assert "`share` is text: 2 of 2 cells, such as '5%' in line 2, look like numbers or times" in said
