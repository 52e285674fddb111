//! `saescope models`: the registry, and what of it is on this machine.

use super::print;
use crate::error::Result;
use crate::model::registry;
use crate::platform::fetch::{Settings, is_at_hand};

/// Prints the table on stdout.
///
/// # Errors
/// When there is no cache folder or the registry does not parse.
pub fn run() -> Result<()> {
    let settings = Settings::from_env()?;
    print(&format!("{:<24} {:<9} {:<16} {:<16} summary\n", "model", "here", "SAE layers", "licence"))?;
    for model in registry::all()? {
        let here =
            model.wanted().iter().filter(|(_, origins)| origins.iter().any(|o| is_at_hand(o, &settings))).count();
        let wanted = 1 + model.saes.len();
        let state = match here {
            0 => "no".to_owned(),
            n if n == wanted => "yes".to_owned(),
            n => format!("{n} of {wanted}"),
        };
        let layers: Vec<String> = model.saes.iter().map(|s| s.layer.to_string()).collect();
        let default = if model.name == registry::DEFAULT { " (default)" } else { "" };
        print(&format!(
            "{:<24} {state:<9} {:<16} {:<16} {}{default}\n",
            model.name,
            layers.join(", "),
            model.licence.name,
            model.summary
        ))?;
    }
    print(&format!("\ncache: {}\n", settings.cache.display()))?;
    Ok(())
}
