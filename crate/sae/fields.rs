//! What an SAE's config may hold that nobody reads.

use serde_json::Value;

use crate::error::Result;
use crate::json::{self, Fields, Unread};
use crate::platform::Source;

/// Trainers write all their settings; what is switched off changes no number.
static UNREAD: Unread = Unread {
    harmless: &[],
    private: false,
    idle: true,
    hint: |_| {
        "unknown fields are refused because they could change the numbers; if this one does not, remove it from a \
         copy of the config (and open an issue)"
            .to_owned()
    },
};

/// The fields of a config in a file.
pub(super) async fn read(source: &Source) -> Result<Fields> {
    fields(source.name(), json::read(source).await?)
}

/// The fields of a config; `file` is for messages.
pub(super) fn fields(file: &str, config: Value) -> Result<Fields> {
    Fields::new(file, config, &UNREAD, &[])
}
