//! The noise of `stability`: the same numbers on every device, in any order, natively and on the web.

use std::fmt;
use std::str::FromStr;

use super::text_kind::TextKind;
use crate::error::{Error, Result};
use crate::random::{keyed, normal_pair};

/// Standard deviation of the noise added to a residual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Noise {
    /// σ = fraction · ‖x‖/√d, so that ‖noise‖ ≈ fraction · ‖x‖.
    Relative(f64),
    /// σ as given, in the residual's units.
    Absolute(f64),
}

impl Default for Noise {
    /// Ten per cent of the residual's norm.
    fn default() -> Self {
        Self::Relative(0.1)
    }
}

impl fmt::Display for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relative(value) => write!(f, "relative:{value}"),
            Self::Absolute(value) => write!(f, "absolute:{value}"),
        }
    }
}

impl FromStr for Noise {
    type Err = Error;

    /// Reads `relative:0.1` or `absolute:0.1`.
    ///
    /// # Errors
    /// [`Error::Usage`] for another form, a negative number, NaN or infinity.
    fn from_str(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Error::usage(
                format!("noise {text:?}: {why}"),
                "write relative:0.1 (a share of ‖x‖) or absolute:0.1 (σ itself)",
            )
        };
        let (rule, value) = text.split_once(':').ok_or_else(|| refuse("expected RULE:NUMBER"))?;
        let value: f64 = value.trim().parse().map_err(|_| refuse("expected a number after the colon"))?;
        if !value.is_finite() || value < 0.0 {
            return Err(refuse("expected a finite number, not negative"));
        }
        // −0 prints and compares as 0 from here on
        let value = value + 0.0;
        match rule.trim() {
            "relative" => Ok(Self::Relative(value)),
            "absolute" => Ok(Self::Absolute(value)),
            _ => Err(refuse("expected the rule `relative` or `absolute`")),
        }
    }
}

impl Noise {
    /// Standard deviation per coordinate for the residual `x`, shape \[d\].
    pub fn sigma(self, x: &[f32]) -> f64 {
        match self {
            Self::Relative(_) if x.is_empty() => 0.0,
            Self::Relative(fraction) => {
                let square: f64 = x.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
                fraction * square.sqrt() / (x.len() as f64).sqrt()
            }
            Self::Absolute(sigma) => sigma,
        }
    }
}

/// x + noise, shape \[d\]: Gaussian, from a [stream](crate::random) keyed by (seed, sample, text,
/// layer), so that no draw depends on any other text.
pub fn noisy(x: &[f32], noise: Noise, seed: u64, sample_id: &str, text: TextKind, layer: usize) -> Vec<f32> {
    let sigma = noise.sigma(x);
    let mut stream = keyed(&[
        b"saescope/noise/1",
        &seed.to_le_bytes(),
        sample_id.as_bytes(),
        text.as_str().as_bytes(),
        &(layer as u64).to_le_bytes(),
    ]);
    let mut out = Vec::with_capacity(x.len());
    for pair in x.chunks(2) {
        let (z0, z1) = normal_pair(&mut stream);
        for (&x, z) in pair.iter().zip([z0, z1]) {
            out.push((f64::from(x) + sigma * z) as f32);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_written_back() {
        for text in ["relative:0.1", "absolute:0.25", "relative:0"] {
            assert_eq!(text.parse::<Noise>().unwrap().to_string(), text);
        }
        assert_eq!(Noise::default().to_string(), "relative:0.1");
    }

    #[test]
    fn senseless_rules_are_refused_with_a_hint() {
        for text in
            ["", "0.1", "relative", "relative:", "relative:x", "absolute:-1", "relative:NaN", "absolute:inf", "gauss:1"]
        {
            let message = text.parse::<Noise>().unwrap_err().to_string();
            assert!(message.contains("hint:") && message.contains("relative:0.1"), "{text}: {message}");
        }
    }

    #[test]
    fn every_part_of_the_key_matters() {
        let x = vec![1.0; 16];
        let draw = |seed, id, text, layer| noisy(&x, Noise::Absolute(1.0), seed, id, text, layer);
        let base = draw(1, "a", TextKind::Fact, 5);
        assert_eq!(base, draw(1, "a", TextKind::Fact, 5));
        assert_ne!(base, draw(2, "a", TextKind::Fact, 5));
        assert_ne!(base, draw(1, "b", TextKind::Fact, 5));
        assert_ne!(base, draw(1, "a", TextKind::Hall, 5));
        assert_ne!(base, draw(1, "a", TextKind::Fact, 6));
    }

    #[test]
    fn relative_noise_has_the_asked_for_length() {
        let x: Vec<f32> = (0..20_000).map(|i| (i % 7) as f32 - 3.0).collect();
        let moved = noisy(&x, Noise::Relative(0.1), 7, "s", TextKind::Hall, 0);
        let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
        let noise = norm(&mut moved.iter().zip(&x).map(|(a, b)| f64::from(a - b)));
        let length = norm(&mut x.iter().map(|&a| f64::from(a)));
        assert!((noise / length - 0.1).abs() < 0.003, "{}", noise / length);
    }

    #[test]
    fn odd_and_empty_lengths() {
        assert_eq!(noisy(&[], Noise::default(), 0, "", TextKind::Prompt, 0), Vec::<f32>::new());
        let (three, four) = (
            noisy(&[0.0; 3], Noise::Absolute(1.0), 0, "", TextKind::Prompt, 0),
            noisy(&[0.0; 4], Noise::Absolute(1.0), 0, "", TextKind::Prompt, 0),
        );
        assert_eq!(three[..], four[..3]);
        assert_eq!(noisy(&[0.0; 2], Noise::Relative(0.1), 0, "", TextKind::Prompt, 0), [0.0; 2]);
    }
}
