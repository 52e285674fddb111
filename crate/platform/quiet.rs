//! Panics of libraries on input that they did not expect, turned into values.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// How many calls of [`quietly`] this thread is in.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Runs `work`; a panic in it says nothing on stderr and comes back as its words.
///
/// For libraries that panic on hostile files. What `work` changes has to be thrown away after a panic.
///
/// # Errors
/// The words of the panic.
pub fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if DEPTH.get() == 0 {
                before(info);
            }
        }));
    });
    DEPTH.set(DEPTH.get() + 1);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    DEPTH.set(DEPTH.get() - 1);
    result.map_err(|payload| words(payload.as_ref()))
}

/// What was said on panicking.
fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_words() {
        assert_eq!(quietly(|| 5), Ok(5));
        let empty: [u8; 0] = std::hint::black_box([]);
        assert_eq!(quietly(|| empty.chunks(empty.len()).count()), Err("chunk size must be non-zero".to_owned()));
        assert_eq!(quietly(|| -> u8 { panic!("number {}", 7) }), Err("number 7".to_owned()));
        assert_eq!(quietly(|| quietly(|| panic!("inside")).is_err()), Ok(true));
        assert_eq!(DEPTH.get(), 0);
    }
}
