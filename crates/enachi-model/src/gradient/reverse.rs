//! The walk from the output back to the earliest cut.

use std::collections::{HashMap, HashSet};

use super::Unsupported;
use super::facts::Facts;
use super::rules::{Step, differentiate};
use super::tape::Tape;

/// The gradient at one cut.
pub(super) struct Derived {
    /// Tensor of the backward pass that holds it.
    pub gradient: String,
    /// Forward tensors that depend on the image and are needed to compute it.
    pub saved: Vec<String>,
}

/// Write the backward nodes down to the earliest of `cuts`. Per cut, in the given order: where its gradient is, or
/// which node is in the way.
pub(super) fn walk(
    facts: &Facts,
    tape: &mut Tape,
    output: &str,
    cuts: &[&str],
) -> Vec<Result<Derived, Unsupported>> {
    let mut pending: HashMap<String, Vec<String>> =
        HashMap::from([(output.to_string(), vec![tape.cotangent()])]);
    let mut found: HashMap<&str, String> = HashMap::new();
    let mut open: HashSet<&str> = cuts.iter().copied().collect();
    let mut obstacle = None;
    for &index in facts.order.iter().rev() {
        let node = &facts.nodes[index];
        let first = node.output.first().map_or("", String::as_str);
        tape.context = format!("{} -> {first}", node.op_type.as_deref().unwrap_or_default());
        let gradients: Vec<Option<String>> = node
            .output
            .iter()
            .map(|name| Some(add_up(tape, pending.remove(name)?)))
            .collect();
        // Every consumer of the outputs has been visited, so their gradients are complete.
        for (name, gradient) in node.output.iter().zip(&gradients) {
            if let (Some(&cut), Some(gradient)) = (open.get(name.as_str()), gradient) {
                found.insert(cut, gradient.clone());
                open.remove(name.as_str());
            }
        }
        if open.is_empty() {
            break;
        }
        if gradients.iter().all(Option::is_none) {
            continue;
        }
        let mut step = Step {
            node,
            facts,
            tape,
            gradients,
        };
        match differentiate(&mut step) {
            Ok(parts) => {
                for (input, gradient) in parts {
                    let name = &node.input[input];
                    if facts.carries_gradient(name) {
                        pending.entry(name.clone()).or_default().push(gradient);
                    }
                }
            }
            Err(reason) => {
                obstacle = Some(Unsupported {
                    op: node.op_type.clone().unwrap_or_default(),
                    node: first.to_string(),
                    reason,
                });
                break;
            }
        }
    }
    // What no node produces: the input of the network.
    if obstacle.is_none() {
        for name in open {
            if let Some(parts) = pending.remove(name) {
                tape.context = name.to_string();
                let gradient = add_up(tape, parts);
                found.insert(name, gradient);
            }
        }
    }
    let by_output: HashMap<&str, usize> = tape
        .nodes
        .iter()
        .enumerate()
        .map(|(i, node)| (node.output[0].as_str(), i))
        .collect();
    cuts.iter()
        .map(|cut| match (found.get(cut), &obstacle) {
            (Some(gradient), _) => Ok(Derived {
                gradient: gradient.clone(),
                saved: saved_for(facts, tape, &by_output, gradient),
            }),
            (None, Some(obstacle)) => Err(obstacle.clone()),
            (None, None) => Err(Unsupported {
                op: "none".into(),
                node: (*cut).to_string(),
                reason: "the scores do not depend on the tensor smoothly".into(),
            }),
        })
        .collect()
}

fn add_up(tape: &mut Tape, parts: Vec<String>) -> String {
    let mut parts = parts.into_iter();
    let first = parts.next().expect("an entry is made with its first part");
    parts.fold(first, |sum, part| tape.add(&sum, &part))
}

fn saved_for(
    facts: &Facts,
    tape: &Tape,
    by_output: &HashMap<&str, usize>,
    gradient: &str,
) -> Vec<String> {
    let mut seen: HashSet<&str> = HashSet::from([gradient]);
    let mut open = vec![gradient];
    let mut saved = Vec::new();
    while let Some(name) = open.pop() {
        match by_output.get(name) {
            Some(&node) => {
                for input in &tape.nodes[node].input {
                    if seen.insert(input) {
                        open.push(input);
                    }
                }
            }
            None if facts.is_active(name) => saved.push(name.to_string()),
            None => {}
        }
    }
    saved.sort_unstable();
    saved
}
