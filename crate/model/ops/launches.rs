//! Which kernels a graphics device was given, and what each took by the device's own clock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use burn_cubecl::cubecl::logging::{
    Duration, LaunchObservation, LaunchObserver, ProfileDuration, TimingMethod, TimingRequest,
};
use futures::FutureExt;

/// Watches every kernel that this process launches, from now until it is asked. Every launch is handed over
/// alone, with two time stamps around it: kernels follow each other as ever, but the host is longer at it.
#[derive(Debug)]
pub struct Launches {
    seen: Arc<Seen>,
    _watching: LaunchObservation,
}

/// What one kernel took; burn's own are among them.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelTime {
    /// Its name, without its parameters: `matmul`, or `select (burn's)`.
    pub name: String,
    /// How often it was launched.
    pub launches: usize,
    /// How often the device told how long it took.
    pub timed: usize,
    /// Seconds of those launches.
    pub seconds: f64,
    /// How many of those were timed from outside, since the device has no clock for it: that includes handing over
    /// and waiting, and kernels then run one at a time.
    pub from_outside: usize,
}

#[derive(Default)]
struct Seen {
    kernels: Mutex<HashMap<&'static str, Kernel>>,
    /// Measurements that the device still has.
    pending: Mutex<Vec<(&'static str, ProfileDuration)>>,
}

#[derive(Debug, Default)]
struct Kernel {
    launches: usize,
    timed: usize,
    seconds: f64,
    from_outside: usize,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seen").field("kernels", &self.kernels).finish_non_exhaustive()
    }
}

impl Seen {
    fn change(&self, name: &'static str, change: impl FnOnce(&mut Kernel)) {
        // sums that a panic left half changed are still sums
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        change(kernels.entry(name).or_default());
    }

    fn took(&self, name: &'static str, seconds: f64, method: TimingMethod) {
        self.change(name, |kernel| {
            kernel.timed += 1;
            kernel.seconds += seconds;
            kernel.from_outside += usize::from(method == TimingMethod::System);
        });
    }

    fn pending(&self) -> Vec<(&'static str, ProfileDuration)> {
        std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl LaunchObserver for Seen {
    fn launched(&self, kernel: &'static str) {
        self.change(kernel, |kernel| kernel.launches += 1);
    }

    fn timing(&self) -> TimingRequest {
        TimingRequest::Deferred
    }

    fn profiled(&self, kernel: &'static str, profile: ProfileDuration) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).push((kernel, profile));
    }

    fn timed(&self, kernel: &'static str, duration: Duration, method: TimingMethod) {
        self.took(kernel, duration.as_secs_f64(), method);
    }
}

impl Launches {
    /// Begins.
    pub fn watch() -> Self {
        let seen = Arc::new(Seen::default());
        Self { _watching: LaunchObservation::new(seen.clone()), seen }
    }

    /// Takes what the devices have told by now, so that a long run does not keep all of it; they keep the rest.
    pub fn collect(&self) {
        let mut open = Vec::new();
        for (name, profile) in self.seen.pending() {
            let method = profile.timing_method();
            let mut told = profile.into_future();
            match (&mut told).now_or_never() {
                Some(Some(ticks)) => self.seen.took(name, ticks.duration().as_secs_f64(), method),
                Some(None) => {}
                None => open.push((name, ProfileDuration::new(told, method))),
            }
        }
        self.seen.pending.lock().unwrap_or_else(PoisonError::into_inner).extend(open);
    }

    /// Ends, and tells what was launched, the longest first.
    pub async fn finish(self) -> Vec<KernelTime> {
        let Self { seen, _watching: watching } = self;
        drop(watching);
        for (name, profile) in seen.pending() {
            let method = profile.timing_method();
            if let Some(ticks) = profile.resolve().await {
                seen.took(name, ticks.duration().as_secs_f64(), method);
            }
        }
        let kernels = std::mem::take(&mut *seen.kernels.lock().unwrap_or_else(PoisonError::into_inner));
        // kernels that differ in their parameters alone have one name
        let mut by_name: HashMap<String, Kernel> = HashMap::new();
        for (name, Kernel { launches, timed, seconds, from_outside }) in kernels {
            let sum = by_name.entry(short(name)).or_default();
            sum.launches += launches;
            sum.timed += timed;
            sum.seconds += seconds;
            sum.from_outside += from_outside;
        }
        let told = |(name, Kernel { launches, timed, seconds, from_outside })| KernelTime {
            name,
            launches,
            timed,
            seconds,
            from_outside,
        };
        let mut out: Vec<KernelTime> = by_name.into_iter().map(told).collect();
        out.sort_by(|a, b| b.seconds.total_cmp(&a.seconds).then_with(|| a.name.cmp(&b.name)));
        out
    }
}

/// What a kernel is called in a table, from the path of its type.
fn short(name: &str) -> String {
    let path: Vec<&str> = name.split('<').next().unwrap_or(name).split("::").collect();
    let last = path.last().copied().unwrap_or(name);
    let bare = last.trim_start_matches("Kernel").trim_end_matches("Kernel");
    let word = match bare {
        // named by its module
        "" => path.iter().rev().find(|part| !part.eq_ignore_ascii_case("kernel")).copied().unwrap_or(last),
        bare => bare,
    };
    let mut out = String::new();
    for letter in word.chars() {
        if letter.is_uppercase() && !out.is_empty() {
            out.push(' ');
        }
        out.extend(letter.to_lowercase());
    }
    if path.first().copied() == module_path!().split("::").next() { out } else { format!("{out} (burn's)") }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn names_are_short() {
        for (path, name) in [
            ("saescope::model::ops::kernels::matmul::kernel::Kernel<cubecl::Vector<f32, 4>, a::B>", "matmul"),
            ("saescope::model::ops::kernels::elementwise::rope_kernel::RopeKernel", "rope"),
            (
                "burn_cubecl::kernel::index::slice_assign::slice_assign_kernel::SliceAssignKernel<a::B>",
                "slice assign (burn's)",
            ),
            ("burn_cubecl::kernel::binary::kernel_binop::KernelBinop<f32>", "binop (burn's)"),
            ("x::Kernel", "x (burn's)"),
            ("Kernel", "kernel (burn's)"),
        ] {
            assert_eq!(short(path), name);
        }
    }
}
