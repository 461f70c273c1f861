//! Codec tables of all cuts of one network as one safetensors file: matrices as tensors named `<cut>/<table>`, the rest
//! as JSON in the header's metadata.

use super::tables::*;
use super::transform::Geometry;
use enachi_core::profile::Profile;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Version of the format and of the stream that the tables decode.
pub const VERSION: u32 = 1;

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
    bands: Vec<Band>,
    chunks: Vec<ChunkSpec>,
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
        headers.push(Header {
            name: name.to_string(),
            maps: g.maps,
            height: g.height,
            width: g.width,
            block_height: g.block_height,
            block_width: g.block_width,
            kept: t.kept,
            step: t.step,
            bands: t.bands.clone(),
            chunks: t.chunks.clone(),
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
    if version != Some(u64::from(VERSION)) {
        return Err(error(format!(
            "version {version:?}, this build reads version {VERSION}"
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
        let has_synthesis = file
            .names()
            .iter()
            .any(|n| **n == format!("{}/synthesis", h.name));
        let tables = Tables {
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
            step: h.step,
            scale: get("scale", Dtype::I8)?
                .iter()
                .map(|b| b.cast_signed())
                .collect(),
            bands: h.bands,
            chunks: h.chunks,
            models: get("models", Dtype::U16)?
                .chunks_exact(2)
                .map(|b| u16::from_le_bytes([b[0], b[1]]))
                .collect(),
            points: floats("points")?,
        };
        tables
            .validate()
            .map_err(|e| error(format!("cut `{}`: {}", h.name, e.0)))?;
        cuts.push((h.name, tables));
    }
    Ok((model_sha256, cuts))
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
