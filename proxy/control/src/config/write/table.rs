//! Tables, keys and values as text.

use std::fmt::Display;

/// A table that is being written: a header with lines below it, or between braces on one line.
pub(super) struct Table<'a> {
    text: &'a mut String,
    inline: Option<Vec<String>>,
}

impl<'a> Table<'a> {
    /// After a blank line, unless it is the first.
    pub(super) fn begin(text: &'a mut String, header: &str) -> Self {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(header);
        text.push('\n');
        Self { text, inline: None }
    }

    /// The same between braces.
    pub(super) const fn inline(text: &'a mut String) -> Self {
        Self { text, inline: Some(Vec::new()) }
    }

    /// What stands between the braces, with these.
    pub(super) fn end(self) -> Option<String> {
        let parts = self.inline.filter(|parts| !parts.is_empty())?;
        Some(format!("{{ {} }}", parts.join(", ")))
    }

    pub(super) fn put(&mut self, key: &str, value: impl Display) {
        match &mut self.inline {
            Some(parts) => parts.push(format!("{key} = {value}")),
            None => self.text.push_str(&format!("{key} = {value}\n")),
        }
    }

    pub(super) fn when(&mut self, key: &str, value: impl Display, condition: bool) {
        if condition {
            self.put(key, value);
        }
    }

    pub(super) fn unless<T: Display + PartialEq>(&mut self, key: &str, value: T, default: T) {
        self.when(key, &value, value != default);
    }

    pub(super) fn maybe(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }
}

/// A string with its quotes.
pub(super) fn string(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A list of values.
pub(super) fn list(values: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", values.into_iter().collect::<Vec<_>>().join(", "))
}

/// A time.
pub(super) fn millis(ms: u32) -> String {
    string(&if ms.is_multiple_of(1000) { format!("{}s", ms / 1000) } else { format!("{ms}ms") })
}
