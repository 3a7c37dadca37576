import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

from pullback.datasets import files, read_table
from pullback.errors import (
    InvalidDataError,
    InvalidParameterError,
    MissingExtraError,
    StorageError,
    TableWarning,
)

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

    @pytest.mark.parametrize(
        ("labels", "read"),
        [
            (np.array([2**64 - 1, 1, 2, 3], dtype=np.uint64), [str(2**64 - 1), "1", "2", "3"]),
            (np.array([2**63 - 1, 1, 2, 3], dtype=np.uint64), [2**63 - 1, 1, 2, 3]),
            (np.array([2**53, 2**53 + 1, 0, -1]), [2**53, 2**53 + 1, 0, -1]),
            (np.array(["a", "\u00e4", "b", "b"], dtype=object).astype("U"), list("a\u00e4bb")),
            (np.char.encode(["a", "\u00e4", "b", "b"], "utf-8"), list("a\u00e4bb")),
            (np.array(["007", "7", "NA", "1.0"]), ["007", "7", "NA", "1.0"]),
        ],
    )
    def test_labels_stay_as_different_as_they_are(self, tmp_path, labels, read):
        np.savez(tmp_path / "table.npz", X=X, y=labels)
        assert read_table(tmp_path / "table.npz").y.tolist() == read

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (np.array([2.0**53, 1, 2, 3]), "reach 9007199254740992, where float64 does not tell"),
            (np.array([2048, 1, 2, 3], dtype="f2"), "reach 2048, where float16 does not tell"),
            (np.array([1e20, 1, 2, 3]), "where float64 does not tell"),
            (np.array(["a", " ", "", "b"]), r"lacks labels in row\(s\) 1, 2 "),
            (np.array([b"a", b"\xe4", b"b", b"c"]), "bytes that are no UTF-8"),
            (np.array(["2024-01-01"] * 4, dtype="M8[D]"), "of type datetime64"),
        ],
    )
    def test_labels_that_are_none_are_refused(self, tmp_path, labels, message):
        np.savez(tmp_path / "table.npz", X=X, y=labels)
        with pytest.raises(InvalidDataError, match=message):
            read_table(tmp_path / "table.npz")

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
            ("1,1\n3,4\n", ("x0", "x1"), [1, 1]),
            ("0,1,2\n3,4,5\n6,7,8\n", ("0", "1", "2"), [3, 4, 5]),
            ("-2,-2\n3,4\n", ("x0", "x1"), [-2, -2]),
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
        assert read_table(path, label="x2", header=False).y.tolist() == [0, 1]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("a,b\n1,2\n3,\n", r"1 entries .* in column\(s\) b and row\(s\) 1"),
            ("a,b\n1,2\n3\n", r"1 entries .* in column\(s\) b and row\(s\) 1"),
            ("a,b\n1,inf\nnan,2\n", r"2 entries .* in column\(s\) a, b and row\(s\) 0, 1"),
            ("a,b\n1,x\n2,y\n", r"not numeric: b \('b' holds 'x' in row 0"),
            ("a,b\n1,2,3\n4,5,6\n", "rows with more fields than its first line"),
            ("a,b\n0,1,2\n1,5,6\n", "rows with more fields than its first line"),
            ("a;b\n1;2\n3;4\n", r"separated by semicolons \(;\), but must be by commas"),
            ("a;b\n1,5;2,5\n4;5\n", r"separated by semicolons \(;\), but must be by commas"),
            ("1,5;2,5\n4;5\n", r"separated by semicolons \(;\), but must be by commas"),
            ("a\tb\n1\t2\n3\t4\n", "separated by tabs, but must be by commas"),
            ("1|2\n3|4\n", r"separated by vertical bars"),
            ("1.0 2.0\n3.0 4.0\n", "separated by spaces, but must be by commas"),
            ('a,b\n"1,5","2,5"\n2,3\n', r"not numeric: a, b \('a' holds '1,5' in row 0"),
            ("a,b\n1,2\n3,-\n", r"not numeric: b \('b' holds '-' in row 1"),
            ("# by me\na,b\n1,2\n", "begins with a comment"),
            ("a,b\n1,2\n# by me\n", r"not numeric: a \('a' holds '# by me' in row 1"),
            ("a,,b\n1,2,3\n4,5,6\n", "columns without a name, number 2 from the left"),
            ("a,b\n1,2\n,\n", r"2 entries .* row\(s\) 1"),
            ("a,a\n1,2\n3,4\n", r"columns of the same name \(a\)"),
            ("a,b\n", "has no rows"),
            ("a,b\n1,2\n", "at least 2 samples, but got 1"),
            ("y\n1\n2\n", r"has no features"),
            (
                "a,y,label\n1,2,3\n4,5,6\n",
                "more than one column that may hold the labels: y, label",
            ),
            ("a,y\n1,2\n3,\n", r"Column 'y' of .* lacks labels in row\(s\) 1 "),
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

    @pytest.mark.parametrize(
        ("content", "header", "names", "rows"),
        [
            ("400,410\n.1,.2\n.3,.4\n", True, ("400", "410"), 2),
            ("400,410\n.1,.2\n.3,.4\n", False, ("x0", "x1"), 3),
            ("1e-3,-2\n3,4\n", False, ("x0", "x1"), 2),
            ("7\n8\n9\n", True, ("7",), 2),
            ("7\n8\n9\n", False, ("x0",), 3),
            (",400,410\n0,.1,.2\n1,.3,.4\n", True, ("400", "410"), 2),
            ("1,2,\n3,4,\n", False, ("x0", "x1"), 2),
        ],
    )
    def test_numbers_in_the_first_line_are_a_sample_or_names_as_is_said(
        self, tmp_path, content, header, names, rows
    ):
        path = text(tmp_path / "table.csv", content)
        table = read_table(path, header=header)
        assert (table.feature_names, len(table.X)) == (names, rows)
        with pytest.warns(TableWarning, match=r"first line .* was taken for .*`header=True`"):
            read_table(path)

    def test_a_sample_that_was_taken_for_names_is_told_of(self, tmp_path):
        path = text(tmp_path / "table.csv", "5.1,3.5,iris\n4.9,3,rose\n4.7,3.2,iris\n")
        table = read_table(path, label="x2", header=False)
        assert table.y.tolist() == ["iris", "rose", "iris"]
        with pytest.warns(TableWarning, match="was taken for the names of the columns"):
            read_table(path, label="iris")

    @pytest.mark.parametrize("content", ["1,,3\n4,5,6\n", "NA,2\n3,4\n5,6\n"])
    def test_a_first_sample_with_a_gap_is_no_line_of_names(self, tmp_path, content):
        with pytest.raises(InvalidDataError, match=r"1 entries that are missing.* row\(s\) 0"):
            read_table(text(tmp_path / "table.csv", content))

    @pytest.mark.parametrize(
        ("labels", "read"),
        [
            (["007", "7", "07"], ["007", "7", "07"]),
            (["1", "1.0", "2"], ["1", "1.0", "2"]),
            (["1.0", "-2.0", "3e2"], [1, -2, 300]),
            (["9007199254740993", "9007199254740992", "0"], [2**53 + 1, 2**53, 0]),
            (["9007199254740993.0", "9007199254740992.0", "0.0"], [2**53 + 1, 2**53, 0]),
            (["-9223372036854775808", "9223372036854775807", "0"], [-(2**63), 2**63 - 1, 0]),
            (["18446744073709551615", "1", "2"], ["18446744073709551615", "1", "2"]),
            (["NA", "null", "nan"], ["NA", "null", "nan"]),
            (["NA", "n/a", "b"], ["NA", "n/a", "b"]),
            (["None", "1", "b"], ["None", "1", "b"]),
            (["True", "False", "True"], [1, 0, 1]),
            (["TRUE", "FALSE", "TRUE"], [1, 0, 1]),
            (["True", "1", "0"], ["True", "1", "0"]),
            ([" red", "red", "blue "], ["red", "red", "blue"]),
            (["2024-01-01", "2024-01-02", "1"], ["2024-01-01", "2024-01-02", "1"]),
            (['"a,b"', '"say ""x"""', "z"], ["a,b", 'say "x"', "z"]),
            (["\u00e4", "\u03bc", "z"], ["\u00e4", "\u03bc", "z"]),
        ],
    )
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_labels_stay_as_different_as_they_are_written(self, tmp_path, labels, read, end):
        lines = ["a,y", *(f"{i},{label}" for i, label in enumerate(labels)), ""]
        (tmp_path / "table.csv").write_bytes(end.join(lines).encode())
        assert read_table(tmp_path / "table.csv").y.tolist() == read

    @pytest.mark.parametrize("gap", ["NA", "nan", "", "inf", "#N/A"])
    def test_a_gap_among_numbers_is_no_class(self, tmp_path, gap):
        path = text(tmp_path / "table.csv", f"a,y\n1,0\n2,{gap}\n3,1\n")
        with pytest.raises(InvalidDataError, match=r"lacks labels in row\(s\) 1 "):
            read_table(path)

    @pytest.mark.parametrize(
        "content",
        [
            ",a,b\n0,1,2\n1,3,4\n",
            ',a,b\n"cell 7",1,2\ncell 3,3,4\n',
            '"","a","b"\n"1",1,2\n"2",3,4\n',
            "Unnamed: 0,a,b\n5,1,2\n9,3,4\n",
            "Unnamed: 0.1,Unnamed: 0,a,b\n0,5,1,2\n1,9,3,4\n",
            "a,b,\n1,2,\n3,4,\n",
            "# a,b\n1,2\n3,4\n",
            "  \na,b\n1,2\n\n3,4\n",
        ],
    )
    def test_what_is_no_feature_is_left_out(self, tmp_path, content):
        table = read_table(text(tmp_path / "table.csv", content))
        assert table.feature_names == ("a", "b")
        np.testing.assert_array_equal(table.X, [[1, 2], [3, 4]])

    def test_an_index_may_hold_the_labels(self, tmp_path):
        path = text(tmp_path / "table.csv", "Unnamed: 0,a\nu,1\nv,2\n")
        table = read_table(path, label="Unnamed: 0")
        assert (table.y.tolist(), table.feature_names) == (["u", "v"], ("a",))

    @pytest.mark.parametrize("kind", [".npy", ".npz", ".parquet"])
    def test_only_texts_have_a_first_line(self, tmp_path, kind):
        with pytest.raises(InvalidParameterError, match="`header` must be True or False, for a"):
            read_table(tmp_path / f"table{kind}", header=True)

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

    @pytest.mark.parametrize(
        ("labels", "read"),
        [
            (pd.array([2**53, 2**53 + 1, 0, 1], dtype="Int64"), [2**53, 2**53 + 1, 0, 1]),
            (np.array([2**64 - 1, 1, 2, 3], dtype=np.uint64), [str(2**64 - 1), "1", "2", "3"]),
            (pd.Categorical([4, 2, 2, 4]), [4, 2, 2, 4]),
            (["007", "7", "NA", "1.0"], ["007", "7", "NA", "1.0"]),
            ([b"a", "\u00e4".encode(), b"b", b"b"], list("a\u00e4bb")),
            ([True, False, True, True], [1, 0, 1, 1]),
            (np.array([1, 2, 3, 2], dtype="f4"), [1, 2, 3, 2]),
        ],
    )
    def test_labels_stay_as_different_as_they_are(self, tmp_path, labels, read):
        FRAME.assign(y=labels).to_parquet(tmp_path / "table.parquet")
        assert read_table(tmp_path / "table.parquet").y.tolist() == read

    def test_an_index_is_no_feature(self, tmp_path):
        frame = FRAME.set_axis([3, 1, 0, 2])
        frame.to_parquet(tmp_path / "table.parquet")
        assert read_table(tmp_path / "table.parquet").feature_names == ("a", "b", "c")
        frame.reset_index(names="Unnamed: 0").to_parquet(tmp_path / "table.parquet")
        assert read_table(tmp_path / "table.parquet").feature_names == ("a", "b", "c")

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
