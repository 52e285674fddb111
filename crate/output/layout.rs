//! How the manifest's JSON is laid out: a line for every value, but one for a list inside of a list, as a
//! table's row is.

use std::io::{Result, Write};

use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

/// Pretty-printed JSON with rows.
#[derive(Default)]
pub(super) struct Rows {
    pretty: PrettyFormatter<'static>,
    /// What is open outside of a row: whether it is a list.
    lists: Vec<bool>,
    /// Lists and objects that are open within a row.
    deep: usize,
}

impl Rows {
    fn open<W: ?Sized + Write>(&mut self, writer: &mut W, list: bool) -> Result<()> {
        if self.deep > 0 || (list && self.lists.last() == Some(&true)) {
            self.deep += 1;
            return if list { CompactFormatter.begin_array(writer) } else { CompactFormatter.begin_object(writer) };
        }
        self.lists.push(list);
        if list { self.pretty.begin_array(writer) } else { self.pretty.begin_object(writer) }
    }

    fn close<W: ?Sized + Write>(&mut self, writer: &mut W, list: bool) -> Result<()> {
        if self.deep > 0 {
            self.deep -= 1;
            return if list { CompactFormatter.end_array(writer) } else { CompactFormatter.end_object(writer) };
        }
        self.lists.pop();
        if list { self.pretty.end_array(writer) } else { self.pretty.end_object(writer) }
    }
}

impl Formatter for Rows {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.open(writer, true)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.close(writer, true)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        if self.deep == 0 {
            return self.pretty.begin_array_value(writer, first);
        }
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        if self.deep > 0 { Ok(()) } else { self.pretty.end_array_value(writer) }
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.open(writer, false)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.close(writer, false)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        if self.deep == 0 {
            return self.pretty.begin_object_key(writer, first);
        }
        CompactFormatter.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        if self.deep > 0 { CompactFormatter.begin_object_value(writer) } else { self.pretty.begin_object_value(writer) }
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        if self.deep > 0 { Ok(()) } else { self.pretty.end_object_value(writer) }
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::{Serializer, Value, json, to_string_pretty};

    use super::*;

    fn laid_out(value: &Value) -> String {
        let mut bytes = Vec::new();
        value.serialize(&mut Serializer::with_formatter(&mut bytes, Rows::default())).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn rows_stand_on_one_line_and_all_else_as_ever() {
        let plain = json!({"a": [1, {"b": []}, {"c": {}}], "d": {"e": [true, null]}, "f": "x"});
        assert_eq!(laid_out(&plain), to_string_pretty(&plain).unwrap());
        let table = json!({"spans": [["a", 1, null], [], [{"b": [2], "c": 3}, [4]]], "end": 5});
        let text = laid_out(&table);
        let wanted =
            "{\n  \"spans\": [\n    [\"a\", 1, null],\n    [],\n    [{\"b\":[2],\"c\":3}, [4]]\n  ],\n  \"end\": 5\n}";
        assert_eq!(text, wanted);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), table);
    }
}
