//! Products of two computed tensors, as of attention, where one has few rows: tract copies both into the order of its kernels
//! first, and for the one row of a decoding step that costs several times the product itself.

use std::iter::zip;

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayD, ArrayViewD, ArrayViewMutD, Axis, Ix2, IxDyn, ShapeError};
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::tract_data::itertools::izip;

/// Products with at most so many rows are sums over the other matrix as it lies in memory.
const FEW_ROWS: usize = 4;

/// `a [batch.., m, k]` times `b [batch.., k, n]`, each with its axes in any order.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
struct Product {
    /// For each axis of the product, in its own order, what it is among `batch.., m, n`.
    output: TVec<usize>,
    /// The axes of `a` as `batch.., m, k`, and of `b` as `batch.., k, n`.
    inputs: [TVec<usize>; 2],
}

/// Replaces the products of a decluttered model in which neither side is constant.
pub(super) fn replace(mut model: TypedModel) -> TractResult<TypedModel> {
    for id in 0..model.nodes().len() {
        let node = model.node(id);
        let Some(product) = node.op_as::<EinSum>().and_then(|op| Product::of(op, &model, node)) else { continue };
        TypedModelPatch::replace_single_op(&model, node, &node.inputs, product)?.apply(&mut model)?;
    }
    model.into_compact()
}

impl Product {
    /// What `op` computes, if that is such a product.
    fn of(op: &EinSum, model: &TypedModel, node: &TypedNode) -> Option<Self> {
        let facts = model.node_input_facts(node.id).ok()?;
        let computed = |fact: &&TypedFact| fact.konst.is_none() && fact.datum_type == f32::datum_type();
        if facts.len() != 2 || !facts.iter().all(computed) || op.q_params.is_some() {
            return None;
        }
        let (inputs, outputs) = op.axes.to_strs();
        let [a, b, c] = [&inputs[0], &inputs[1], &outputs[0]].map(|axes| axes.chars().collect::<TVec<char>>());
        let has = |axes: &[char], axis: &char| axes.contains(axis);
        let batch: TVec<char> = c.iter().copied().filter(|axis| has(&a, axis) && has(&b, axis)).collect();
        let only = |of: &[char], with: &[char], without: &[char]| {
            let mut axes = of.iter().copied().filter(|axis| has(with, axis) && !has(without, axis));
            axes.next().filter(|_| axes.next().is_none())
        };
        let (m, n, k) = (only(&c, &a, &b)?, only(&c, &b, &a)?, only(&a, &b, &c)?);
        let order = |axes: &[char], last: [char; 2]| -> Option<TVec<usize>> {
            let all = batch.iter().chain(&last).map(|axis| axes.iter().position(|other| other == axis));
            let all: TVec<usize> = all.collect::<Option<_>>()?;
            (all.len() == axes.len()).then_some(all)
        };
        let canonical: TVec<char> = batch.iter().copied().chain([m, n]).collect();
        let output = c.iter().map(|axis| canonical.iter().position(|other| other == axis)).collect::<Option<_>>()?;
        Some(Self { output, inputs: [order(&a, [m, k])?, order(&b, [k, n])?] })
    }
}

/// `a [batch.., m, k]` times `b [batch.., k, n]`, to `c [batch.., m, n]`.
fn multiply(a: ArrayViewD<f32>, b: ArrayViewD<f32>, mut c: ArrayViewMutD<f32>) -> Result<(), ShapeError> {
    if a.ndim() > 2 {
        return izip!(a.outer_iter(), b.outer_iter(), c.outer_iter_mut()).try_for_each(|(a, b, c)| multiply(a, b, c));
    }
    let (a, b) = (a.into_dimensionality::<Ix2>()?, b.into_dimensionality::<Ix2>()?);
    let mut c = c.into_dimensionality::<Ix2>()?;
    if a.nrows() > FEW_ROWS {
        general_mat_mul(1.0, &a, &b, 0.0, &mut c);
        return Ok(());
    }
    for (a, mut c) in zip(a.outer_iter(), c.outer_iter_mut()) {
        if b.stride_of(Axis(0)) == 1 {
            zip(&mut c, b.columns()).for_each(|(c, column)| *c = a.dot(&column));
        } else {
            c.fill(0.0);
            zip(a, b.rows()).for_each(|(&a, row)| c.scaled_add(a, &row));
        }
    }
    Ok(())
}

impl Op for Product {
    fn name(&self) -> StaticName {
        "Product".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Product {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let view = |input: usize| -> TractResult<ArrayViewD<f32>> {
            Ok(inputs[input].to_plain_array_view::<f32>()?.permuted_axes(&*self.inputs[input]))
        };
        let (a, b) = (view(0)?, view(1)?);
        let batch = a.ndim() - 2;
        let mut shape = a.shape().to_vec();
        shape[batch + 1] = b.shape()[batch + 1];
        let mut c = ArrayD::zeros(shape);
        multiply(a, b, c.view_mut())?;
        let c = c.permuted_axes(IxDyn(&self.output)).as_standard_layout().into_owned();
        Ok(tvec!(c.into_tvalue()))
    }
}

impl TypedOp for Product {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let axis = |input: usize, at: usize| inputs[input].shape[self.inputs[input][at]].clone();
        let m = self.output.len() - 2;
        let shape = self.output.iter().map(|&at| if at == m + 1 { axis(1, at) } else { axis(0, at) });
        Ok(tvec!(f32::fact(shape.collect::<TVec<TDim>>())))
    }

    as_op!();
}

#[cfg(test)]
mod tests {
    use ndarray::Array;
    use proptest::prelude::*;

    use super::*;

    /// Numbers that sums of do not round.
    fn numbers(shape: &[usize], seed: i32) -> Tensor {
        let count = shape.iter().product::<usize>() as i32;
        let numbers = (0..count).map(|index| ((index * 7 + seed) % 11 - 5) as f32).collect();
        Array::from_shape_vec(shape, numbers).unwrap().into()
    }

    proptest! {
        #[test]
        fn products_are_tracts_own(
            (formula, rows) in (
                proptest::sample::select(vec![
                    "abmk,abnk->abmn", "abmk,abkn->abmn", "abmk,abkn->ambn", "amk,akn->nam", "bmak,bkan->abmn", "mk,kn->mn", "bkm,bnk->bnm",
                ]),
                1..7_usize,
            ),
            sizes in [1..4_usize, 1..4, 1..9, 1..70],
            seed in 0..11,
        ) {
            let [a, b, k, n] = sizes;
            let shape = |axes: &str| -> Vec<usize> {
                axes.chars().map(|axis| match axis { 'a' => a, 'b' => b, 'k' => k, 'n' => n, _ => rows }).collect()
            };
            let (inputs, _) = formula.split_once("->").unwrap();
            let inputs: Vec<Tensor> = inputs.split(',').map(|axes| numbers(&shape(axes), seed)).collect();
            let mut model = TypedModel::default();
            let sources: Vec<OutletId> = inputs
                .iter()
                .enumerate()
                .map(|(index, input)| model.add_source(format!("{index}"), f32::fact(input.shape())).unwrap())
                .collect();
            let sum = EinSum::new(formula.parse().unwrap(), f32::datum_type());
            let output = model.wire_node("product", sum, &sources).unwrap();
            model.select_output_outlets(&output).unwrap();
            let replaced = replace(model.clone()).unwrap();
            prop_assert!(replaced.nodes().iter().any(|node| node.op_is::<Product>()));
            let run = |model: TypedModel| {
                let inputs = inputs.iter().map(|input| input.clone().into_tvalue()).collect();
                model.into_optimized().unwrap().into_runnable().unwrap().run(inputs).unwrap().remove(0).into_tensor()
            };
            prop_assert_eq!(run(replaced), run(model));
        }
    }
}
