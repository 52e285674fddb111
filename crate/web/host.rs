//! What the page's own host offers (catalog.json), and the models that are known.

use std::cell::RefCell;
use std::rc::Rc;

use super::storage;
use crate::error::Result;
use crate::model::registry::{self, KnownModel};
use crate::platform::{self, Origin};
use crate::protocol::{CATALOG_FILE, Catalog, HostedModel, ModelInfo, ModelSae};

/// The host that the page comes from.
pub(super) struct Host {
    /// The page's own address.
    base: String,
    catalog: RefCell<Option<Rc<Catalog>>>,
}

impl Host {
    pub(super) fn new(base: String) -> Self {
        Self { base, catalog: RefCell::default() }
    }

    /// An address relative to the page's.
    pub(super) fn resolve(&self, relative: &str) -> String {
        web_address(relative, &self.base).unwrap_or_else(|| relative.to_owned())
    }

    /// The host's catalog, asked for once; a host without one offers nothing.
    pub(super) async fn catalog(&self) -> Rc<Catalog> {
        if let Some(catalog) = self.catalog.borrow().clone() {
            return catalog;
        }
        match platform::fetch_small(&self.resolve(CATALOG_FILE)).await {
            Ok(bytes) => {
                let catalog = Rc::new(serde_json::from_slice(&bytes).unwrap_or_else(|_| Catalog::empty()));
                self.catalog.replace(Some(Rc::clone(&catalog)));
                catalog
            }
            // asked again next time: the page may be offline for a moment
            Err(_) => Rc::new(Catalog::empty()),
        }
    }

    /// Every known model that this page can get, hosted ones first.
    ///
    /// # Errors
    /// A broken registry, which the tests rule out.
    pub(super) async fn models(&self) -> Result<Vec<ModelInfo>> {
        let catalog = self.catalog().await;
        let stored = storage::items().await.unwrap_or_default();
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
                    .map(|s| ModelSae {
                        layer: s.layer,
                        declared_l0: s.declared_l0,
                        neuronpedia: s.neuronpedia.clone(),
                    })
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
                    .map(|s| ModelSae { layer: s.layer, declared_l0: None, neuronpedia: None })
                    .collect(),
                default: false,
            });
        }
        out.sort_by_key(|m| !m.hosted);
        Ok(out)
    }
}

fn web_address(url: &str, base: &str) -> Option<String> {
    use wasm_bindgen::JsValue;
    let constructor = js_sys::Reflect::get(&js_sys::global(), &"URL".into()).ok()?;
    let arguments = js_sys::Array::of2(&url.into(), &base.into());
    let made = js_sys::Reflect::construct(&constructor.into(), &arguments).ok()?;
    js_sys::Reflect::get(&made, &JsValue::from_str("href")).ok()?.as_string()
}

/// The first way to a known model that a browser can go.
pub(super) fn reachable(origins: &[Origin]) -> Option<&platform::Hub> {
    origins.iter().find_map(|origin| match origin {
        Origin::Hub(hub) => Some(hub),
        Origin::Package(_) | Origin::Bundled(_) => None,
    })
}

/// Bytes of a known model's hub files and SAEs, if every size is known.
fn known_bytes(model: &KnownModel) -> Option<u64> {
    let hubs = std::iter::once(&model.sources).chain(model.saes.iter().map(|s| &s.sources));
    let files = hubs.map(|origins| reachable(origins)).collect::<Option<Vec<_>>>()?;
    files.into_iter().flat_map(|hub| &hub.files).map(|f| f.size).sum()
}
