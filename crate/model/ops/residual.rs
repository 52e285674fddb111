//! What a block adds to the residual stream.

use burn::tensor::{Tensor, TensorData};

use super::{Compute, Form, Op, host_values};
use crate::platform;

/// Elements that a thread takes at once.
const CHUNK: usize = 1 << 16;

/// `x + y`.
///
/// # Shapes
/// both `[n, d_model]` → the same.
pub fn residual_add(x: Tensor<2>, y: Tensor<2>, compute: &Compute) -> Tensor<2> {
    compute.meter().time(Op::ResidualAdd, || match compute.form(Op::ResidualAdd) {
        Form::Plain | Form::Kernel => x + y,
        Form::Host => {
            let shape = x.dims();
            let (x, mut sum) = (host_values(x), host_values(y));
            platform::par_chunks_mut(&mut sum, CHUNK, |i, sum| {
                sum.iter_mut().zip(&x[i * CHUNK..]).for_each(|(y, x)| *y += x);
            });
            Tensor::from_data(TensorData::new(sum, shape), &compute.device)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::tests_support::random;

    #[test]
    fn forms_agree() {
        let plain = Compute::cpu().with(Op::ResidualAdd, Form::Plain).unwrap();
        let run =
            |c: &Compute| host_values(residual_add(c.tensor2(random(35, 1), 5, 7), c.tensor2(random(35, 2), 5, 7), c));
        assert_eq!(run(&Compute::cpu()), run(&plain));
    }
}
