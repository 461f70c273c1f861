//! Codec tables of all cuts of one network as one safetensors file: matrices as tensors named `<cut>/<table>`, the rest
//! as JSON in the header's metadata.

use super::statistics::Probe;
use super::tables::*;
use super::transform::Geometry;
use crate::predictor::Mlp;
use enachi_core::profile::Profile;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Version of the format and of the streams that tables of today decode.
pub const VERSION: u32 = 3;
/// Oldest version that is read: one pass of a plane.
const OLDEST: u32 = 2;

#[derive(Serialize, Deserialize)]
struct Header {
    name: String,
    maps: usize,
    height: usize,
    width: usize,
    block_height: usize,
    block_width: usize,
    kept: usize,
    step: f32,
    #[serde(default = "one_pass")]
    plane_passes: u8,
    bands: Vec<Band>,
    chunks: Vec<ChunkSpec>,
    spatial: SpatialKind,
    exponents: Vec<[f32; 2]>,
}

/// Passes of a plane in files of version 2.
fn one_pass() -> u8 {
    1
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SpatialKind {
    Blocks,
    Full,
    Separable,
}

/// Bases of a spatial transform by the name of their tensors.
fn named_bases(spatial: &Spatial) -> Vec<(&'static str, &SquareBasis)> {
    match spatial {
        Spatial::Blocks => vec![],
        Spatial::Full(basis) => vec![("spatial", basis)],
        Spatial::Separable {
            vertical,
            horizontal,
        } => vec![("vertical", vertical), ("horizontal", horizontal)],
    }
}

fn error(what: impl ToString) -> TablesError {
    TablesError(what.to_string())
}

/// Serialise the tables of the cuts of the model with this hash. The same tables give the same bytes.
pub fn to_bytes(model_sha256: &str, cuts: Vec<(&str, &Tables)>) -> Result<Vec<u8>, TablesError> {
    let mut data: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    let mut headers = Vec::new();
    for (name, t) in cuts {
        let g = t.geometry;
        let floats = |v: &[f32]| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let mut add = |table: &str, dtype, shape: &[usize], bytes| {
            data.push((format!("{name}/{table}"), dtype, shape.to_vec(), bytes));
        };
        add("mean", Dtype::F32, &[g.maps], floats(&t.mean));
        add(
            "analysis",
            Dtype::F32,
            &[t.kept, g.maps],
            floats(&t.analysis),
        );
        if let Some(s) = &t.synthesis {
            add("synthesis", Dtype::F32, &[g.maps, t.kept], floats(s));
        }
        let scale = t.scale.iter().map(|&s| s.cast_unsigned()).collect();
        add("scale", Dtype::I8, &[t.kept, g.frequencies()], scale);
        let models = t.models.iter().flat_map(|p| p.to_le_bytes()).collect();
        add("models", Dtype::U16, &[t.models.len()], models);
        add("points", Dtype::F32, &[t.points.len()], floats(&t.points));
        for (name, basis) in named_bases(&t.spatial) {
            let side = basis.analysis.len().isqrt();
            for (part, matrix) in [
                ("analysis", &basis.analysis),
                ("synthesis", &basis.synthesis),
            ] {
                let name = format!("{name}.{part}");
                add(&name, Dtype::F32, &[side, side], floats(matrix));
            }
        }
        let r = &t.restoration;
        add(
            "energy",
            Dtype::F32,
            &[t.kept, t.most_passes()],
            floats(&r.energy),
        );
        add("variance", Dtype::F32, &[g.maps], floats(&r.variance));
        let bytes = floats(&t.chunk_bytes);
        add("chunk_bytes", Dtype::F32, &[t.chunk_bytes.len()], bytes);
        let (inputs, classes) = (t.probe.inputs, t.probe.bias.len());
        let weights = floats(&t.probe.weights);
        add("probe.weights", Dtype::F32, &[classes, inputs], weights);
        add("probe.bias", Dtype::F32, &[classes], floats(&t.probe.bias));
        for array in t.predictor.iter().flat_map(Mlp::to_arrays) {
            let name = format!("predictor.{}", array.name);
            add(&name, Dtype::F32, &array.shape, floats(&array.values));
        }
        headers.push(Header {
            name: name.to_string(),
            maps: g.maps,
            height: g.height,
            width: g.width,
            block_height: g.block_height,
            block_width: g.block_width,
            kept: t.kept,
            step: t.step,
            plane_passes: t.plane_passes,
            bands: t.bands.clone(),
            chunks: t.chunks.clone(),
            spatial: match t.spatial {
                Spatial::Blocks => SpatialKind::Blocks,
                Spatial::Full(_) => SpatialKind::Full,
                Spatial::Separable { .. } => SpatialKind::Separable,
            },
            exponents: r.exponents.clone(),
        });
    }
    let views = data
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name.as_str(), view))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(error)?;
    // One metadata entry only: the header is a hash map, whose order would not be reproducible with more.
    let about = serde_json::to_string(&(VERSION, model_sha256, headers)).map_err(error)?;
    serialize(
        views,
        Some(HashMap::from([("enachi.tables".into(), about)])),
    )
    .map_err(error)
}

/// Read tables and check all of them; also the hash of the model they were made for.
pub fn from_bytes(bytes: &[u8]) -> Result<(String, Vec<(String, Tables)>), TablesError> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(error)?;
    let about = metadata
        .metadata()
        .as_ref()
        .and_then(|m| m.get("enachi.tables"))
        .ok_or_else(|| error("this safetensors file holds no codec tables"))?;
    let value: serde_json::Value = serde_json::from_str(about).map_err(error)?;
    let version = value.get(0).and_then(serde_json::Value::as_u64);
    if !version.is_some_and(|v| (u64::from(OLDEST)..=u64::from(VERSION)).contains(&v)) {
        return Err(error(format!(
            "version {version:?}, this build reads versions {OLDEST} to {VERSION}"
        )));
    }
    let (_, model_sha256, headers): (u32, String, Vec<Header>) =
        serde_json::from_value(value).map_err(error)?;
    let file = SafeTensors::deserialize(bytes).map_err(error)?;
    let mut cuts = Vec::new();
    for h in headers {
        let get = |table: &str, dtype: Dtype| -> Result<&[u8], TablesError> {
            let view = file.tensor(&format!("{}/{table}", h.name)).map_err(error)?;
            if view.dtype() != dtype {
                return Err(error(format!("{}/{table} is {:?}", h.name, view.dtype())));
            }
            Ok(view.data())
        };
        let floats = |table: &str| -> Result<Vec<f32>, TablesError> {
            Ok(get(table, Dtype::F32)?
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect())
        };
        let basis = |name: &str| -> Result<SquareBasis, TablesError> {
            Ok(SquareBasis {
                analysis: floats(&format!("{name}.analysis"))?,
                synthesis: floats(&format!("{name}.synthesis"))?,
            })
        };
        let has_synthesis = file
            .names()
            .iter()
            .any(|n| **n == format!("{}/synthesis", h.name));
        let predictor = read_predictor(&file, &h.name)?;
        let tables = Tables {
            predictor,
            geometry: Geometry {
                maps: h.maps,
                height: h.height,
                width: h.width,
                block_height: h.block_height,
                block_width: h.block_width,
            },
            kept: h.kept,
            mean: floats("mean")?,
            analysis: floats("analysis")?,
            synthesis: has_synthesis.then(|| floats("synthesis")).transpose()?,
            spatial: match h.spatial {
                SpatialKind::Blocks => Spatial::Blocks,
                SpatialKind::Full => Spatial::Full(basis("spatial")?),
                SpatialKind::Separable => Spatial::Separable {
                    vertical: basis("vertical")?,
                    horizontal: basis("horizontal")?,
                },
            },
            step: h.step,
            scale: get("scale", Dtype::I8)?
                .iter()
                .map(|b| b.cast_signed())
                .collect(),
            plane_passes: h.plane_passes,
            bands: h.bands,
            chunks: h.chunks,
            models: get("models", Dtype::U16)?
                .chunks_exact(2)
                .map(|b| u16::from_le_bytes([b[0], b[1]]))
                .collect(),
            points: floats("points")?,
            chunk_bytes: floats("chunk_bytes")?,
            probe: {
                let (weights, bias) = (floats("probe.weights")?, floats("probe.bias")?);
                let inputs = weights.len().checked_div(bias.len()).unwrap_or(0);
                Probe {
                    inputs,
                    weights,
                    bias,
                }
            },
            restoration: Restoration {
                energy: floats("energy")?,
                variance: floats("variance")?,
                exponents: h.exponents,
            },
        };
        tables
            .validate()
            .map_err(|e| error(format!("cut `{}`: {}", h.name, e.0)))?;
        cuts.push((h.name, tables));
    }
    Ok((model_sha256, cuts))
}

/// The predictor of a cut, if there is one.
fn read_predictor(file: &SafeTensors, cut: &str) -> Result<Option<Mlp>, TablesError> {
    let prefix = format!("{cut}/predictor.");
    let mut arrays: HashMap<String, (Vec<usize>, Vec<f32>)> = HashMap::new();
    for (name, view) in file.iter() {
        let Some(array) = name.strip_prefix(&prefix) else {
            continue;
        };
        if view.dtype() != Dtype::F32 {
            return Err(error(format!("{name} is {:?}", view.dtype())));
        }
        let values = view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        arrays.insert(array.to_string(), (view.shape().to_vec(), values));
    }
    if arrays.is_empty() {
        return Ok(None);
    }
    Mlp::from_arrays(|name| {
        arrays
            .get(name)
            .map(|(shape, values)| (shape.as_slice(), values.as_slice()))
    })
    .map(Some)
    .map_err(|e| error(format!("cut `{cut}`: predictor: {e}")))
}

/// Read the tables that a profile was measured with; anything else is refused by hash.
pub fn for_profile(profile: &Profile, bytes: &[u8]) -> Result<Vec<(String, Tables)>, TablesError> {
    let found = format!("{:x}", Sha256::digest(bytes));
    let wanted = &profile.meta.tables_sha256;
    if found != *wanted {
        return Err(error(format!(
            "these tables (SHA-256 {found}) are not those that the profile of {} was measured with ({wanted})",
            profile.meta.model_name
        )));
    }
    let (model, cuts) = from_bytes(bytes)?;
    if model != profile.meta.model_sha256 {
        return Err(error("the tables were made for another model"));
    }
    Ok(cuts)
}
