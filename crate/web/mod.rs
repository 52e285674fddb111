//! The browser's surface: one engine in a worker, asked by messages (`protocol` is the contract), each
//! answered by events and one end.

mod analyze;
mod border;
mod calibrate;
mod devices;
mod explore;
mod host;
mod labels;
mod plan;
mod settings;
mod spools;
mod storage;
mod subject;
mod task;
mod workers;

use std::rc::Rc;

use wasm_bindgen::prelude::*;

use crate::error::Result;
use crate::protocol::{Answer, Request};
use border::Incoming;
use explore::Shown;
use host::Host;
use subject::Subjects;
use task::{Handed, Page, Task};

#[wasm_bindgen]
extern "C" {
    /// Where the worker's script wants to hear the words of a panic, before the trap.
    #[wasm_bindgen(js_name = saescopePanic)]
    fn panicked(message: &str);
}

unsafe extern "C" {
    /// The static constructors of libraries, thousands of them; the linker makes it.
    fn __wasm_call_ctors();
}

/// Runs the constructors, once. Where nobody calls them, the linker has every function that JavaScript may call run all
/// of them first, those that make and drop a value of JavaScript among them: a list of 200 samples took two seconds.
///
/// Source: LLVM's `wasm-ld`, `createCommandExportWrappers`.
#[wasm_bindgen(start)]
fn start() {
    // SAFETY: the linker's own function, called before any other of the module
    unsafe { __wasm_call_ctors() }
}

/// The engine of one worker.
#[wasm_bindgen]
pub struct Engine {
    page: Rc<Page>,
    kept: Rc<Kept>,
}

/// What the engine keeps between requests.
struct Kept {
    subjects: Subjects,
    shown: Shown,
}

#[wasm_bindgen]
impl Engine {
    /// `emit(message, transfer)` sends a message to the page; `base` is the page's own address,
    /// which relative ones are resolved against.
    #[wasm_bindgen(constructor)]
    pub fn new(emit: js_sys::Function, base: String) -> Self {
        std::panic::set_hook(Box::new(|info| panicked(&info.to_string())));
        let kept = Kept { subjects: Subjects::new(Host::new(base)), shown: Shown::default() };
        Self { page: Page::new(emit), kept: Rc::new(kept) }
    }

    /// Takes a request; its answers come through `emit`.
    pub fn request(&self, message: JsValue) {
        let Some(Incoming { id, request, picked }) = Incoming::read(&message) else { return };
        let (page, kept) = (self.page.clone(), self.kept.clone());
        wasm_bindgen_futures::spawn_local(async move {
            let task = page.begin(id, picked);
            let answer = match request {
                Ok(request) => handle(&page, &kept, &task, request).await,
                Err(error) => Err(error),
            };
            page.end(&task, &answer);
        });
    }
}

async fn handle(page: &Page, kept: &Kept, task: &Task, request: Request) -> Result<Answer> {
    let Kept { subjects, shown } = kept;
    Ok(match request {
        Request::Hello => Answer::Hello(devices::hello().await?),
        Request::Models => Answer::Models(subjects.host.models().await?),
        Request::Dataset { data } => Answer::Dataset(settings::dataset_info(settings::dataset(&data)?)),
        Request::Plan { setup } => Answer::Plan(plan::plan(subjects, task, &setup).await?),
        Request::Analyze { setup, run_id, asked } => {
            Answer::Analyze(analyze::analyze(subjects, task, &setup, run_id, asked).await?)
        }
        Request::Measure { setup, share, ordinary, files, worker } => {
            Answer::Measure(workers::measure(subjects, task, &setup, &share, ordinary, &files, worker).await?)
        }
        Request::Hand { target, portion, memory } => {
            page.hand(target, Handed { portion, memory });
            Answer::Hand(())
        }
        Request::Unfinished => Answer::Unfinished(spools::unfinished().await),
        Request::Discard { run_id } => {
            spools::discard(&run_id).await;
            Answer::Discard(())
        }
        Request::Cancel { target } => {
            page.cancel(target);
            Answer::Cancel(())
        }
        Request::Explore { subject, device, text, top } => {
            Answer::Explore(explore::explore(shown, subjects, task, &subject, device, &text, top).await?)
        }
        Request::Tokens { subject, texts } => {
            let opened = subjects.open(task, &subject).await?;
            Answer::Tokens(explore::tokens(&opened, &texts)?)
        }
        Request::Cloud { subject, layer, features, activations } => {
            let opened = subjects.open(task, &subject).await?;
            Answer::Cloud(explore::cloud(&opened, layer, &features, &activations).await?)
        }
        Request::Promotes { subject, layer, features, top } => {
            let opened = subjects.open(task, &subject).await?;
            Answer::Promotes(explore::promotes(&opened, layer, &features, top).await?)
        }
        Request::Calibrate { metrics, manifest, seed, swaps, with } => Answer::Calibrate(
            calibrate::calibrate(subjects, task, &metrics, &manifest, seed, swaps, with.as_ref()).await?,
        ),
        Request::Labels { file } => Answer::Labels(labels::labels(task, &file).await?),
        Request::Fetch { subject } => Answer::Fetch(subjects.fetch(task, &subject).await?),
        Request::Storage => Answer::Storage(storage::info().await?),
        Request::Delete { key } => {
            // the stored bytes of opened models may be gone
            subjects.forget();
            shown.forget();
            Answer::Delete(storage::delete(key.as_deref()).await?)
        }
    })
}
