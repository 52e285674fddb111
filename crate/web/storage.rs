//! What is in the browser's storage.

use crate::error::Result;
use crate::platform;
use crate::protocol::{StorageInfo, StoredItem};

/// The stored files.
///
/// # Errors
/// A browser that keeps nothing.
pub(super) async fn items() -> Result<Vec<StoredItem>> {
    let items = platform::stored().await?.into_iter();
    Ok(items.map(|platform::StoredItem { key, name, bytes, total }| StoredItem { key, name, bytes, total }).collect())
}

/// The stored files, and the browser's own figures.
///
/// # Errors
/// None: why nothing can be stored is part of the answer.
pub(super) async fn info() -> Result<StorageInfo> {
    let (items, unavailable) = match items().await {
        Ok(items) => (items, None),
        Err(e) => (Vec::new(), Some(e.to_string())),
    };
    let platform::Estimate { usage, quota } = platform::estimate().await;
    let bytes = items.iter().map(|i| i.bytes).sum();
    Ok(StorageInfo { items, bytes, usage, quota, unavailable })
}

/// Deletes a file, or all of them, and says what is left.
///
/// # Errors
/// Those of the browser's storage.
pub(super) async fn delete(key: Option<&str>) -> Result<StorageInfo> {
    platform::delete(key).await?;
    info().await
}
