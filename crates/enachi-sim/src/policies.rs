//! The policies that a simulation can run, by name.

use crate::scenario::nearest;
use enachi_core::task::TaskPolicy;

/// Makes a fresh policy.
type Make = Box<dyn Fn() -> Box<dyn TaskPolicy> + Send + Sync>;

struct Entry {
    name: String,
    local_only: bool,
    make: Make,
}

/// Makes policies by name.
#[derive(Default)]
pub struct PolicyFactory {
    entries: Vec<Entry>,
}

/// A name that no policy has.
#[derive(Debug, thiserror::Error)]
#[error("policies: {name:?}: must be one of {known}{suggestion}")]
pub struct UnknownPolicy {
    name: String,
    known: String,
    suggestion: String,
}

impl PolicyFactory {
    /// The policies of this software.
    pub fn standard() -> Self {
        Self::default().with("enachi", crate::planner::Planner::default)
    }

    /// Add a policy of one's own (a later one of the same name is not reached).
    pub fn with<P: TaskPolicy + 'static>(
        mut self,
        name: &str,
        make: impl Fn() -> P + Send + Sync + 'static,
    ) -> Self {
        self.entries.push(Entry {
            name: name.into(),
            local_only: false,
            make: Box::new(move || Box::new(make())),
        });
        self
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// Whether there is a policy called `name`.
    pub fn check(&self, name: &str) -> Result<(), UnknownPolicy> {
        if self.entries.iter().any(|entry| entry.name == name) {
            return Ok(());
        }
        let known: Vec<&str> = self.names().collect();
        Err(UnknownPolicy {
            name: name.into(),
            suggestion: nearest(name, known.iter().copied())
                .map_or(String::new(), |near| format!("; did you mean `{near}`?")),
            known: known.join(", "),
        })
    }

    fn entry(&self, name: &str) -> &Entry {
        self.entries
            .iter()
            .find(|entry| entry.name == name)
            .expect("names are checked before policies are made")
    }

    /// A fresh policy called `name`, which must have passed [`PolicyFactory::check`].
    pub fn make(&self, name: &str) -> Box<dyn TaskPolicy> {
        (self.entry(name).make)()
    }

    /// Whether the policy never sends: it is offered the whole network on the device and nothing else.
    pub fn local_only(&self, name: &str) -> bool {
        self.entry(name).local_only
    }
}
