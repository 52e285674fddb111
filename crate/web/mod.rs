//! The browser's surface: one engine in a worker, asked by messages (www/protocol.ts is the
//! contract), each answered by events and one terminal message.

mod analyze;
mod convert;
mod devices;
mod explore;
mod host;
mod plan;
mod subject;
mod task;

use std::rc::Rc;

use wasm_bindgen::prelude::*;

use crate::dataset::{self, Dataset, Format};
use crate::error::{Error, Result};
use crate::platform;
use convert::{field, plain, text};
use task::{Outgoing, Shared, Task};

#[wasm_bindgen]
extern "C" {
    /// Where the worker's script wants to hear the words of a panic, before the trap.
    #[wasm_bindgen(js_name = saescopePanic)]
    fn panicked(message: &str);
}

/// The engine of one worker.
#[wasm_bindgen]
pub struct Engine {
    shared: Rc<Shared>,
}

#[wasm_bindgen]
impl Engine {
    /// `emit(message, transfer)` sends a message to the page; `base` is the page's own address,
    /// which relative ones are resolved against.
    #[wasm_bindgen(constructor)]
    pub fn new(emit: js_sys::Function, base: String) -> Self {
        std::panic::set_hook(Box::new(|info| panicked(&info.to_string())));
        Self { shared: Rc::new(Shared::new(emit, base)) }
    }

    /// Takes a request; its answers come through `emit`.
    pub fn request(&self, message: JsValue) {
        let shared = self.shared.clone();
        let Some(id) = field(&message, "id").as_f64().filter(|id| *id >= 0.0).map(|id| id as u32) else {
            // nobody to answer
            return;
        };
        wasm_bindgen_futures::spawn_local(async move {
            let task = shared.begin(id);
            let answer = handle(&shared, &task, &message).await;
            shared.end(task, answer);
        });
    }
}

async fn handle(shared: &Rc<Shared>, task: &Rc<Task>, message: &JsValue) -> Result<Outgoing> {
    match text(message, "type")?.as_str() {
        "hello" => devices::hello().await,
        "models" => host::models(shared).await,
        "dataset" => Ok(Outgoing::plain(&dataset_info(&dataset_of(&field(message, "data"))?))),
        "plan" => plan::plan(shared, message).await,
        "analyze" => analyze::analyze(shared, task, message).await,
        "cancel" => {
            shared.cancel(plain(message, "target")?);
            Ok(Outgoing::null())
        }
        "explore" => explore::explore(shared, task, message).await,
        "tokens" => explore::tokens(shared, message).await,
        "cloud" => explore::cloud(shared, message).await,
        "promotes" => explore::promotes(shared, message).await,
        "fetch" => subject::fetch(shared, message).await,
        "storage" => storage().await,
        "delete" => {
            let key = field(message, "key").as_string();
            shared.forget_loaded();
            platform::delete(key.as_deref()).await?;
            storage().await
        }
        other => {
            Err(Error::usage(format!("unknown request {other:?}"), "reload the page: its parts differ in version"))
        }
    }
}

/// The data set that a `DataChoice` names.
fn dataset_of(choice: &JsValue) -> Result<Dataset> {
    match text(choice, "kind")?.as_str() {
        "builtin" => dataset::builtin(),
        _ => {
            let name = text(choice, "name")?;
            let bytes = js_sys::Uint8Array::new(&field(choice, "bytes")).to_vec();
            let domain = field(choice, "domain").as_string();
            dataset::parse(&name, Format::detect(&name, &bytes), &bytes, domain.as_deref())
        }
    }
}

#[derive(serde::Serialize)]
struct DatasetInfo<'a> {
    name: &'a str,
    samples: &'a [dataset::Sample],
    rejected: &'a [dataset::Rejected],
    domains: Vec<(&'a str, usize)>,
}

fn dataset_info(data: &Dataset) -> DatasetInfo<'_> {
    let mut domains: Vec<(&str, usize)> = Vec::new();
    for sample in &data.samples {
        match domains.iter_mut().find(|(name, _)| *name == sample.domain) {
            Some((_, n)) => *n += 1,
            None => domains.push((&sample.domain, 1)),
        }
    }
    DatasetInfo { name: &data.name, samples: &data.samples, rejected: &data.rejected, domains }
}

#[derive(serde::Serialize)]
struct StorageInfo {
    items: Vec<platform::StoredItem>,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unavailable: Option<String>,
}

async fn storage() -> Result<Outgoing> {
    let (items, unavailable) = match platform::stored().await {
        Ok(items) => (items, None),
        Err(e) => (Vec::new(), Some(e.to_string())),
    };
    let platform::Estimate { usage, quota } = platform::estimate().await;
    let bytes = items.iter().map(|i| i.bytes).sum();
    Ok(Outgoing::plain(&StorageInfo { items, bytes, usage, quota, unavailable }))
}
