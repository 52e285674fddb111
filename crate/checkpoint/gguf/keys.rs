//! Reading one architecture's metadata so that no key goes unnoticed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::header::MetaValue;
use crate::error::{Error, Result, shown};

/// The keys under one prefix; remembers which were asked for.
pub(super) struct Keys<'a> {
    file: &'a str,
    prefix: &'static str,
    metadata: &'a BTreeMap<String, MetaValue>,
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(file: &'a str, prefix: &'static str, metadata: &'a BTreeMap<String, MetaValue>) -> Self {
        Self { file, prefix, metadata, asked: RefCell::default() }
    }

    /// The file's name, for messages.
    pub(super) fn file(&self) -> &'a str {
        self.file
    }

    /// What all the keys begin with.
    pub(super) fn prefix(&self) -> &'static str {
        self.prefix
    }

    /// The value of `{prefix}.{key}`.
    pub(super) fn get(&self, key: &str) -> Option<&'a MetaValue> {
        let key = format!("{}.{key}", self.prefix);
        let value = self.metadata.get(&key);
        self.asked.borrow_mut().insert(key);
        value
    }

    /// Notes keys that are known not to change any number.
    pub(super) fn harmless(&self, keys: &[&str]) {
        for key in keys {
            self.get(key);
        }
    }

    /// A count: a whole number from 1 to 2³¹, or a list that repeats one such number.
    pub(super) fn count(&self, key: &str) -> Result<Option<usize>> {
        let value = match self.get(key) {
            None => return Ok(None),
            Some(MetaValue::Int(value)) => *value,
            Some(MetaValue::Ints(list)) if !list.is_empty() => {
                if list.iter().any(|v| *v != list[0]) {
                    return Err(Error::unsupported(
                        format!("{}: {}.{key} that differs between layers", self.file, self.prefix),
                        "take a model whose layers are all alike",
                    ));
                }
                list[0]
            }
            Some(other) => return self.wrong(key, "a whole number", other),
        };
        match usize::try_from(value) {
            Ok(count @ 1..=0x7fff_ffff) => Ok(Some(count)),
            _ => self.wrong(key, "a whole number from 1 to 2^31", &MetaValue::Int(value)),
        }
    }

    /// A count that must be there.
    pub(super) fn need_count(&self, key: &str) -> Result<usize> {
        self.count(key)?.ok_or_else(|| self.missing(key))
    }

    /// A positive, finite number.
    pub(super) fn positive(&self, key: &str) -> Result<Option<f64>> {
        match self.get(key) {
            None => Ok(None),
            Some(MetaValue::Float(value)) if value.is_finite() && *value > 0.0 => Ok(Some(*value)),
            Some(other) => self.wrong(key, "a positive number", other),
        }
    }

    /// A positive number that must be there.
    pub(super) fn need_positive(&self, key: &str) -> Result<f64> {
        self.positive(key)?.ok_or_else(|| self.missing(key))
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        match self.get(key) {
            None => Ok(None),
            Some(MetaValue::Text(text)) => Ok(Some(text)),
            Some(other) => self.wrong(key, "a text", other),
        }
    }

    /// Refuses what nobody has asked for: it may change the numbers.
    pub(super) fn refuse_rest(&self) -> Result<()> {
        let asked = self.asked.borrow();
        let own = |key: &&String| key.strip_prefix(self.prefix).is_some_and(|rest| rest.starts_with('.'));
        match self.metadata.keys().filter(own).find(|key| !asked.contains(*key)) {
            None => Ok(()),
            Some(key) => Err(Error::unsupported(
                format!("{}: metadata {}", self.file, shown(key)),
                "this version does not know what the key does to the numbers; take the model as safetensors",
            )),
        }
    }

    pub(super) fn refuse(&self, what: impl std::fmt::Display) -> Error {
        Error::unsupported(format!("{}: {what}", self.file), "take a model without it, or the model as safetensors")
    }

    pub(super) fn missing(&self, key: &str) -> Error {
        Error::missing(
            format!("metadata {}.{key} in {}", self.prefix, self.file),
            "the file was made by an old or broken converter; fetch another",
        )
    }

    pub(super) fn wrong<T>(&self, key: &str, expected: impl Into<String>, found: &MetaValue) -> Result<T> {
        Err(Error::malformed(
            self.file,
            format!("metadata {}.{key}", self.prefix),
            expected,
            shown(&format!("{found:?}")),
            "the file was made by an old or broken converter; fetch another",
        ))
    }
}
