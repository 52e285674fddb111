//! What the page and the engine say to each other, as plain data: requests, answers, events and errors, and
//! what the page's host offers. The page's own types of all this (`www/generated/`) are written from these;
//! `web` turns JavaScript's values into them and back.
//!
//! Every request carries an id. It is answered by any number of events of that id and exactly one end: an
//! answer or an error. Sizes are bytes, times seconds, angles degrees.

mod answer;
mod bytes;
mod catalog;
mod request;
#[cfg(test)]
mod typescript;

pub use answer::{
    Answer, Cloud, DatasetInfo, Device, Download, EngineError, ErrorKind, Event, Explore, Hello, LabelledDictionary,
    LayerOfText, Memory, ModelInfo, ModelSae, PartialRun, Plan, Progress, RunFiles, Share, Shares, StorageInfo,
    StoredItem, Tokens, UnfinishedRun, WebGpu, WebGpuState,
};
pub use bytes::Bytes;
pub use catalog::{CATALOG_FILE, Catalog, HostedFile, HostedModel, HostedRun, HostedSae};
pub use request::{
    CalibrateWith, DataChoice, DeviceChoice, ModelChoice, PickedFile, Request, SaeAt, SaeChoice, Setup, Subject,
};
