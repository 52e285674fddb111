//! What the page's own host offers (catalog.json), and the models that are known.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::task::{Outgoing, Shared};
use crate::error::Result;
use crate::model::registry::{self, KnownModel};
use crate::platform::{self, Origin};

/// catalog.json; absent is empty.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Catalog {
    #[serde(default)]
    pub(super) models: Vec<HostedModel>,
}

/// A model on the page's host.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct HostedModel {
    pub(super) name: String,
    #[serde(default)]
    pub(super) summary: Option<String>,
    pub(super) model: Vec<HostedFile>,
    #[serde(default)]
    pub(super) saes: Vec<HostedSae>,
}

/// An SAE on the page's host.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct HostedSae {
    pub(super) layer: usize,
    pub(super) files: Vec<HostedFile>,
}

/// A file on the page's host; `url` is relative to catalog.json.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct HostedFile {
    pub(super) path: String,
    pub(super) url: String,
    pub(super) size: u64,
    #[serde(default)]
    pub(super) sha256: Option<String>,
}

impl HostedModel {
    fn bytes(&self) -> u64 {
        self.model.iter().chain(self.saes.iter().flat_map(|s| &s.files)).map(|f| f.size).sum()
    }
}

/// An address relative to the page's.
pub(super) fn resolve(base: &str, relative: &str) -> String {
    web_address(relative, base).unwrap_or_else(|| relative.to_owned())
}

fn web_address(url: &str, base: &str) -> Option<String> {
    use wasm_bindgen::JsValue;
    let constructor = js_sys::Reflect::get(&js_sys::global(), &"URL".into()).ok()?;
    let arguments = js_sys::Array::of2(&url.into(), &base.into());
    let made = js_sys::Reflect::construct(&constructor.into(), &arguments).ok()?;
    js_sys::Reflect::get(&made, &JsValue::from_str("href")).ok()?.as_string()
}

/// The host's catalog, asked for once; a host without one offers nothing.
pub(super) async fn catalog(shared: &Shared) -> Rc<Catalog> {
    if let Some(catalog) = shared.catalog.borrow().clone() {
        return catalog;
    }
    let url = resolve(&shared.base, "catalog.json");
    match platform::fetch_small(&url).await {
        Ok(bytes) => {
            let catalog = Rc::new(serde_json::from_slice(&bytes).unwrap_or_default());
            shared.catalog.replace(Some(Rc::clone(&catalog)));
            catalog
        }
        // asked again next time: the page may be offline for a moment
        Err(_) => Rc::default(),
    }
}

#[derive(Serialize)]
struct ModelInfo {
    name: String,
    summary: String,
    licence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    licence_url: Option<String>,
    hosted: bool,
    gated: bool,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    stored_bytes: u64,
    saes: Vec<SaeEntry>,
    default: bool,
}

#[derive(Serialize)]
struct SaeEntry {
    layer: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    declared_l0: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    neuronpedia: Option<String>,
}

/// The first way to a known model that a browser can go.
pub(super) fn reachable(origins: &[Origin]) -> Option<&platform::Hub> {
    origins.iter().find_map(|origin| match origin {
        Origin::Hub(hub) => Some(hub),
        Origin::Package(_) | Origin::Bundled(_) => None,
    })
}

/// Every known model that this page can get, hosted ones first.
///
/// # Errors
/// A broken registry, which the tests rule out.
pub(super) async fn models(shared: &Shared) -> Result<Outgoing> {
    let catalog = catalog(shared).await;
    let stored = platform::stored().await.unwrap_or_default();
    let stored_bytes = |name: &str| {
        let prefix = format!("{name}/");
        stored.iter().filter(|i| i.name.starts_with(&prefix)).map(|i| i.bytes).sum()
    };
    let known = registry::all()?;
    let mut out = Vec::new();
    for model in &known {
        let hosted = catalog.models.iter().find(|m| m.name == model.name);
        let saes_reachable = model.saes.iter().all(|s| reachable(&s.sources).is_some());
        let hub = reachable(&model.sources).filter(|_| saes_reachable);
        if hosted.is_none() && hub.is_none() {
            continue;
        }
        out.push(ModelInfo {
            name: model.name.clone(),
            summary: model.summary.clone(),
            licence: model.licence.name.clone(),
            licence_url: model.licence.url.clone(),
            hosted: hosted.is_some(),
            gated: hosted.is_none() && hub.is_some_and(|h| h.gated),
            source: match (hosted, hub) {
                (None, Some(hub)) => Origin::Hub(hub.clone()).describe(),
                _ => "this page's host".to_owned(),
            },
            bytes: hosted.map(HostedModel::bytes).or_else(|| known_bytes(model)),
            stored_bytes: stored_bytes(&model.name),
            saes: model
                .saes
                .iter()
                .map(|s| SaeEntry { layer: s.layer, declared_l0: s.declared_l0, neuronpedia: s.neuronpedia.clone() })
                .collect(),
            default: model.name == registry::DEFAULT,
        });
    }
    for model in catalog.models.iter().filter(|m| known.iter().all(|k| k.name != m.name)) {
        out.push(ModelInfo {
            name: model.name.clone(),
            summary: model.summary.clone().unwrap_or_default(),
            licence: "see its source".to_owned(),
            licence_url: None,
            hosted: true,
            gated: false,
            source: "this page's host".to_owned(),
            bytes: Some(model.bytes()),
            stored_bytes: stored_bytes(&model.name),
            saes: model
                .saes
                .iter()
                .map(|s| SaeEntry { layer: s.layer, declared_l0: None, neuronpedia: None })
                .collect(),
            default: false,
        });
    }
    out.sort_by_key(|m| !m.hosted);
    Ok(Outgoing::plain(&out))
}

/// Bytes of a known model's hub files and SAEs, if every size is known.
fn known_bytes(model: &KnownModel) -> Option<u64> {
    let hubs = std::iter::once(&model.sources).chain(model.saes.iter().map(|s| &s.sources));
    let files = hubs.map(|origins| reachable(origins)).collect::<Option<Vec<_>>>()?;
    files.into_iter().flat_map(|hub| &hub.files).map(|f| f.size).sum()
}
