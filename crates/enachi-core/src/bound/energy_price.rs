//! The search for the energy prices μ_n: one per device, from the energy that devices use at the prices so far.

/// Prices of energy, and how each device answered the last change of its own.
#[derive(Clone, Debug)]
pub struct EnergyPrices {
    /// μ_n \[1/J\].
    prices: Vec<f64>,
    last: Vec<Option<(f64, f64)>>,
    elasticity: Vec<f64>,
    range: Vec<(f64, f64)>,
    /// Where a search begins.
    first: Vec<f64>,
}

/// Largest change of a price in one step, as a logarithm.
const LARGEST_STEP: f64 = 1.2;
/// ln(used/allowed) for a device that uses nothing.
const NOTHING: f64 = -3.0;

impl EnergyPrices {
    /// First prices for devices that may spend `allowed_j` each over all frames, in which answers of total worth
    /// `worth` are at stake.
    pub fn new(allowed_j: &[f64], worth: &[f64]) -> Self {
        let scale = |allowed: f64, worth: f64| worth.max(1e-12) / allowed.max(1e-9);
        let scales: Vec<f64> = allowed_j
            .iter()
            .zip(worth)
            .map(|(allowed, worth)| scale(*allowed, *worth))
            .collect();
        let first: Vec<f64> = scales.iter().map(|scale| 0.3 * scale).collect();
        Self {
            prices: first.clone(),
            last: vec![None; scales.len()],
            elasticity: vec![-0.7; scales.len()],
            // Below, all the energy there is costs a millionth of the worth at stake.
            range: scales.iter().map(|s| (1e-6 * s, 1e3 * s)).collect(),
            first,
        }
    }

    /// As good as no prices: what devices use then, they use at most.
    pub fn waive(&mut self) {
        for (price, (least, _)) in self.prices.iter_mut().zip(&self.range) {
            *price = *least;
        }
        self.last.fill(None);
    }

    /// Begin a search for the devices that used more than they may at the least prices; for the others those are the best there are.
    /// Whether there is any.
    pub fn search_for(&mut self, used_j: &[f64], allowed_j: &[f64]) -> bool {
        let mut any = false;
        for (n, price) in self.prices.iter_mut().enumerate() {
            if used_j[n] > allowed_j[n] {
                *price = self.first[n];
                any = true;
            }
        }
        any
    }

    /// μ_n \[1/J\].
    pub fn prices(&self) -> &[f64] {
        &self.prices
    }

    /// Go on from `prices`, for other energies.
    pub fn restart(&mut self, prices: &[f64]) {
        self.prices.copy_from_slice(prices);
        self.last.fill(None);
    }

    /// Learn what devices used at these prices and take the next ones. Returns about how much of the dual there is still to
    /// gain.
    pub fn update(&mut self, used_j: &[f64], allowed_j: &[f64]) -> f64 {
        let mut to_gain = 0.0;
        for (n, price) in self.prices.iter_mut().enumerate() {
            let (used, allowed) = (used_j[n], allowed_j[n]);
            let x = price.ln();
            let excess = if used <= 0.0 {
                NOTHING
            } else if allowed <= 0.0 {
                -NOTHING
            } else {
                (used / allowed).ln().clamp(NOTHING, -NOTHING)
            };
            if let Some((x0, excess0)) = self.last[n]
                && (x - x0).abs() > 1e-9
            {
                let seen = (excess - excess0) / (x - x0);
                // Half believed: other devices moved as well.
                self.elasticity[n] = (0.5 * (self.elasticity[n] + seen)).clamp(-6.0, -0.2);
            }
            self.last[n] = Some((x, excess));
            let step = (-excess / self.elasticity[n]).clamp(-LARGEST_STEP, LARGEST_STEP);
            let (least, most) = self.range[n];
            let next = (x + step).exp().clamp(least, most);
            let step = next.ln() - x;
            to_gain += 0.5 * (*price * (used - allowed) * step).abs();
            *price = next;
        }
        to_gain
    }
}
