//! How an operator with a backward pass of its own enters burn's autodiff graph.

use std::fmt::Debug;
use std::iter::zip;
use std::marker::PhantomData;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};

/// What an operator of `N` differentiable inputs saves in its forward pass for its backward pass.
pub trait SavedForBackward<const N: usize>: Clone + Debug + Send + 'static {
    /// The gradients of the inputs, from that of the output. One whose input is not `tracked` is not looked at.
    fn backward(self, grad_output: &FlexTensor, tracked: [bool; N]) -> [FlexTensor; N];
}

/// The backward pass of any operator, as burn wants it.
#[derive(Debug)]
struct BackwardPass<S>(PhantomData<S>);

impl<S: SavedForBackward<N>, const N: usize> Backward<Flex, N> for BackwardPass<S> {
    type State = S;

    fn backward(self, ops: Ops<S, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let grad_output = gradients.consume::<Flex>(&ops.node);
        let grad_inputs = ops.state.backward(&grad_output, ops.parents.each_ref().map(Option::is_some));
        for (parent, gradient) in zip(ops.parents, grad_inputs) {
            if let Some(parent) = parent {
                gradients.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

/// Adds a node to the autodiff graph: `output`, computed from the inputs at `nodes`.
pub fn track<C: CheckpointStrategy, S: SavedForBackward<N>, const N: usize>(
    nodes: [NodeGuard; N],
    saved: S,
    output: FlexTensor,
) -> FloatTensor<Autodiff<Flex, C>> {
    match BackwardPass(PhantomData).prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(step) => step.finish(saved, output),
        OpsKind::UnTracked(step) => step.finish(output),
    }
}
