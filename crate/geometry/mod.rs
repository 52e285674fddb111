//! Geometry of a text's active features, in f64 on plain slices: no tensors, no I/O.
//!
//! A text's n active features are n weighted points in R^d: positions r_i (rows of `W_dec`) with
//! masses m_i (activations). With p_i = m_i / Σm and centroid c = Σ p_i r_i their covariance is
//! C = Σ p_i (r_i − c)(r_i − c)ᵀ. Its non-zero spectrum is computed through the n×n Gram matrix
//! G_ij = √(p_i p_j) (r_i − c)·(r_j − c), which has the same non-zero eigenvalues; an eigenvector
//! u of G gives the axis Σ √p_i u_i (r_i − c) / √λ.
//!
//! Everything here is deterministic and single-threaded (parallelism is over texts), and no
//! finite input gives a NaN or an infinity.

mod angle;
mod cloud;
mod gram;
mod krylov;
mod nulls;
mod points;
mod shape;
mod sixteens;
mod spectra;
mod symmetric;
mod tridiagonal;

#[cfg(test)]
mod symmetric_tests;
#[cfg(test)]
mod tests;

pub use angle::{angle_degrees, line_angle_degrees};
pub use cloud::{Cloud, Projection, RANK_TOLERANCE};
pub use nulls::{LEAST_FEATURES, MOST_FEATURES, Null, POOL_ROWS, Pool, SHAPES, Standing, Standings, shapes, standings};
pub use shape::{ShapeClass, eigenvalue_entropy, elongation, participation_ratio, sphericity};
