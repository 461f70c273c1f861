//! `model = "..."` in `[device]` and `[[devices]]`: what the description of a device says and the scenario does not.

use crate::device::{DEVICE_KEYS, DeviceModel, DeviceModelError};
use std::path::Path;
use toml::{Table, Value};

/// Write the values of every named model into `scenario`, where it does not give them itself. Paths are relative to
/// `folder`. A table that gives every value needs no description, so a scenario that was written out completely can be
/// read anywhere.
pub fn fill(scenario: &mut Table, folder: &Path) -> Result<(), DeviceModelError> {
    if let Some(Value::Table(device)) = scenario.get_mut("device") {
        fill_one(device, "device.model", folder)?;
    }
    if let Some(Value::Array(groups)) = scenario.get_mut("devices") {
        for (i, group) in groups.iter_mut().enumerate() {
            if let Value::Table(group) = group {
                fill_one(group, &format!("devices.{i}.model"), folder)?;
            }
        }
    }
    Ok(())
}

fn fill_one(table: &mut Table, key: &str, folder: &Path) -> Result<(), DeviceModelError> {
    let Some(Value::String(model)) = table.get("model") else {
        return Ok(());
    };
    if DEVICE_KEYS.iter().all(|key| table.contains_key(*key)) {
        return Ok(());
    }
    let model = DeviceModel::find(model, key, folder)?;
    for (key, value) in model.values() {
        table.entry(key).or_insert(Value::Float(value));
    }
    Ok(())
}
