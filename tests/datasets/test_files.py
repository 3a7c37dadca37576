import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

from pullback.datasets import files, read_table
from pullback.errors import InvalidDataError, MissingExtraError, StorageError

X = np.array([[0.5, 1.0, -2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0], [1.0, 0.0, 2.5]])
y = np.array([0, 1, 1, 0])
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])


def text(path, content):
    path.write_text(content, encoding="utf-8")
    return path


class TestEveryKind:
    """What the four kinds of file have in common."""

    WRITERS = {
        ".npz": lambda path: np.savez(path, X=X, y=y),
        ".npy": lambda path: np.save(path, X),
        ".csv": lambda path: FRAME.assign(y=y).to_csv(path, index=False),
        ".parquet": lambda path: FRAME.assign(y=y).to_parquet(path),
    }

    @pytest.mark.parametrize("kind", WRITERS)
    def test_comes_back_as_it_was_written(self, tmp_path, kind):
        path = tmp_path / f"table{kind}"
        self.WRITERS[kind](path)
        table = read_table(str(path))
        np.testing.assert_array_equal(table.X, X)
        named = kind in (".csv", ".parquet")
        assert table.feature_names == (("a", "b", "c") if named else ("x0", "x1", "x2"))
        if kind == ".npy":
            assert table.y is None
        else:
            np.testing.assert_array_equal(table.y, y)
            assert table.y.dtype == np.int64

    @pytest.mark.parametrize("kind", WRITERS)
    @pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
    def test_a_truncated_file_is_refused(self, tmp_path, kind, share):
        path = tmp_path / f"table{kind}"
        self.WRITERS[kind](path)
        whole = path.read_bytes()
        path.write_bytes(whole[: max(1, int(share * len(whole)))])
        if kind == ".csv":  # what is left of a text may be a shorter table, but never a crash
            path.write_bytes(b"\xff\xfe\x00" + whole)
        with pytest.raises(
            StorageError, match=rf"damaged, or is no {kind} file .*: write it again"
        ):
            read_table(path)

    @pytest.mark.parametrize("kind", [".npz", ".npy", ".parquet"])
    def test_garbage_is_refused(self, tmp_path, kind):
        path = tmp_path / f"table{kind}"
        path.write_bytes(files.MAGIC[kind] + bytes(range(256)))
        with pytest.raises(StorageError, match="is damaged"):
            read_table(path)
        path.write_bytes(bytes(range(256)))
        with pytest.raises(StorageError, match="does not begin like one"):
            read_table(path)

    @pytest.mark.parametrize("kind", WRITERS)
    def test_an_empty_file_is_refused(self, tmp_path, kind):
        path = tmp_path / f"table{kind}"
        path.touch()
        with pytest.raises(StorageError, match="is empty"):
            read_table(path)


class TestPath:
    def test_missing(self, tmp_path):
        with pytest.raises(StorageError, match="There is no file .*table.csv"):
            read_table(tmp_path / "table.csv")

    def test_folder(self, tmp_path):
        with pytest.raises(StorageError, match="is no file"):
            read_table(tmp_path)

    def test_unknown_kind(self, tmp_path):
        with pytest.raises(StorageError, match=r"must end in one of .npz, .npy, .csv, .parquet"):
            read_table(text(tmp_path / "table.xlsx", "1,2"))

    def test_no_permission(self, tmp_path, monkeypatch):
        def refuse(path):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(files, "_reader_for", refuse)
        with pytest.raises(StorageError, match="cannot be read: Permission denied"):
            read_table(tmp_path / "table.csv")

    def test_capital_suffix(self, tmp_path):
        assert read_table(text(tmp_path / "T.CSV", "a,b\n1,2\n3,4\n")).X.shape == (2, 2)


class TestArrays:
    @pytest.mark.parametrize("name", ["X", "x", "data", "arr_0"])
    @pytest.mark.parametrize("labels", ["y", "labels", "Target"])
    def test_names(self, tmp_path, name, labels):
        path = tmp_path / "table.npz"
        np.savez(path, **{name: X.astype("f4"), labels: y.astype(str)})
        table = read_table(path)
        assert table.X.dtype == np.float32
        assert table.y.tolist() == ["0", "1", "1", "0"]

    def test_the_label_may_have_any_name(self, tmp_path):
        path = tmp_path / "table.npz"
        np.savez(path, X=X, kind=y)
        np.testing.assert_array_equal(read_table(path, label="kind").y, y)
        with pytest.raises(InvalidDataError, match="has no array 'sort' .* it has X, kind"):
            read_table(path, label="sort")

    def test_arrays_that_could_be_anything(self, tmp_path):
        np.savez(tmp_path / "table.npz", first=X, second=X, y=y)
        with pytest.raises(InvalidDataError, match="array called X, but holds .*: first, second"):
            read_table(tmp_path / "table.npz")

    def test_labels_only(self, tmp_path):
        np.savez(tmp_path / "table.npz", y=y)
        with pytest.raises(InvalidDataError, match="nothing"):
            read_table(tmp_path / "table.npz")

    @pytest.mark.parametrize("kind", [".npz", ".npy"])
    def test_pickled_objects_are_never_loaded(self, tmp_path, kind):
        path = tmp_path / f"table{kind}"
        save = np.savez if kind == ".npz" else np.save
        save(path, np.array([[1, "a"]], dtype=object), allow_pickle=True)
        with pytest.raises(InvalidDataError, match="Python objects, which may run code"):
            read_table(path)

    def test_another_archive_is_refused(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "table.npz", "w") as archive:
            archive.writestr("X", "1,2,3")
        with pytest.raises(StorageError, match="something else than arrays"):
            read_table(tmp_path / "table.npz")

    def test_a_changed_byte_is_noticed(self, tmp_path):
        path = tmp_path / "table.npz"
        np.savez(path, X=X)
        content = bytearray(path.read_bytes())
        at = content.index(X.tobytes())
        content[at] ^= 1
        path.write_bytes(content)
        with pytest.raises(StorageError, match="damaged"):
            read_table(path)

    def test_one_array_has_no_labels(self, tmp_path):
        np.save(tmp_path / "table.npy", X)
        with pytest.raises(InvalidDataError, match="holds one array, so it has no labels"):
            read_table(tmp_path / "table.npy", label="y")

    def test_labels_of_another_length(self, tmp_path):
        np.savez(tmp_path / "table.npz", X=X, y=y[:3])
        with pytest.raises(InvalidDataError, match="has 4 samples, so its labels must have shape"):
            read_table(tmp_path / "table.npz")


class TestText:
    @pytest.mark.parametrize(
        ("content", "names", "first"),
        [
            ("1,2\n3,4\n", ("x0", "x1"), [1, 2]),
            ("0,1,2\n3,4,5\n6,7,8\n", ("0", "1", "2"), [3, 4, 5]),
            ("1e-3,-2\n3,4\n", ("x0", "x1"), [0.001, -2]),
            ("\ufeff a , b\n1, 2\n3, 4\n", ("a", "b"), [1, 2]),
            ("\n\na,b\n1,2\n\n3,4\n", ("a", "b"), [1, 2]),
            ('"a, left",b\n1,2\n3,4\n', ("a, left", "b"), [1, 2]),
            ("a,b\nTrue,2\nFalse,4\n", ("a", "b"), [1, 2]),
        ],
    )
    def test_with_and_without_names(self, tmp_path, content, names, first):
        table = read_table(text(tmp_path / "table.csv", content))
        assert table.feature_names == names
        np.testing.assert_array_equal(table.X[0], first)

    def test_labels_may_be_text_or_numbers_anywhere(self, tmp_path):
        path = text(tmp_path / "table.csv", "a,Class,b\n1,red,2\n3,blue,4\n")
        table = read_table(path)
        assert table.y.tolist() == ["red", "blue"]
        assert table.y.dtype.kind == "U"
        assert table.feature_names == ("a", "b")
        path = text(tmp_path / "table.csv", "1,2,0\n3,4,1\n")
        assert read_table(path, label="x2").y.tolist() == [0, 1]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("a,b\n1,2\n3,\n", r"1 entries .* in column\(s\) b and row\(s\) 1"),
            ("a,b\n1,2\n3\n", r"1 entries .* in column\(s\) b and row\(s\) 1"),
            ("a,b\n1,inf\nnan,2\n", r"2 entries .* in column\(s\) a, b and row\(s\) 0, 1"),
            ("a,b\n1,x\n2,y\n", r"not numeric: b \('b' begins with 'x'\)"),
            ("a,b\n1,2,3\n4,5,6\n", "rows with more fields than its first line"),
            ("a,b\n0,1,2\n1,5,6\n", "rows with more fields than its first line"),
            ("a;b\n1;2\n3;4\n", r"separated by semicolons \(;\), but must be by commas"),
            ("a;b\n1,5;2,5\n4;5\n", r"separated by semicolons \(;\), but must be by commas"),
            ("1,5;2,5\n4;5\n", r"separated by semicolons \(;\), but must be by commas"),
            ("a,a\n1,2\n3,4\n", r"columns of the same name \(a\)"),
            ("a,b\n", "has no rows"),
            ("a,b\n1,2\n", "at least 2 samples, but got 1"),
            (",a,b\n0,1,2\n1,3,4\n", "counts the rows, so it is no feature. Delete it"),
            ("y\n1\n2\n", r"has no features"),
            (
                "a,y,label\n1,2,3\n4,5,6\n",
                "more than one column that may hold the labels: y, label",
            ),
            ("a,y\n1,2\n3,\n", r"lacks labels in row\(s\) 1 of column 'y'"),
            ("a,y\n1,0.5\n3,1\n", "whole numbers or text, but 1 are not, the first of them 0.5"),
        ],
    )
    def test_bad_content_is_refused(self, tmp_path, content, message):
        with pytest.raises(InvalidDataError, match=message):
            read_table(text(tmp_path / "table.csv", content))

    @pytest.mark.parametrize("content", ["\n\n", "a,b\n1,2\n3,4,5,6\n", 'a,b\n"1,2\n3,4\n'])
    def test_damaged(self, tmp_path, content):
        with pytest.raises(StorageError, match="is damaged") as caught:
            read_table(text(tmp_path / "table.csv", content))
        assert "\n" not in str(caught.value)

    def test_unknown_label(self, tmp_path):
        with pytest.raises(InvalidDataError, match="has no column 'kind' .* it has a, b"):
            read_table(text(tmp_path / "table.csv", "a,b\n1,2\n3,4\n"), label="kind")


class TestParquet:
    def test_nullable_and_categorical_columns(self, tmp_path):
        frame = FRAME.assign(d=pd.array([1, 2, 3, 4], dtype="Int64"), e=[True, False, True, True])
        frame["label"] = pd.Categorical(["u", "v", "v", "u"])
        frame.to_parquet(tmp_path / "table.parquet")
        table = read_table(tmp_path / "table.parquet")
        np.testing.assert_array_equal(table.X[:, 3:], [[1, 1], [2, 0], [3, 1], [4, 1]])
        assert table.y.tolist() == ["u", "v", "v", "u"]

    def test_nullable_whole_numbers_as_labels(self, tmp_path):
        FRAME.assign(y=pd.array(y, dtype="Int64")).to_parquet(tmp_path / "table.parquet")
        np.testing.assert_array_equal(read_table(tmp_path / "table.parquet").y, y)

    def test_gaps(self, tmp_path):
        frame = FRAME.assign(d=pd.array([1, 2, None, 4], dtype="Int64"))
        frame.to_parquet(tmp_path / "table.parquet")
        with pytest.raises(InvalidDataError, match=r"in column\(s\) d and row\(s\) 2"):
            read_table(tmp_path / "table.parquet")

    def test_columns_that_are_not_numeric(self, tmp_path):
        frame = FRAME.assign(day=pd.to_datetime(["2024-01-01"] * 4), name=list("uvwx"))
        frame.to_parquet(tmp_path / "table.parquet")
        with pytest.raises(InvalidDataError, match="not numeric: day, name"):
            read_table(tmp_path / "table.parquet")

    def test_without_pyarrow_the_extra_is_named(self, tmp_path, monkeypatch):
        FRAME.to_parquet(tmp_path / "table.parquet")
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'pullback\[data\]'"):
            read_table(tmp_path / "table.parquet")
