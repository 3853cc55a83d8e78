//! Campaigns kept as files, so that they can be reviewed as code: one TOML file a campaign, in the shape of the API's body.
//!
//! A file's campaign is found again by the file's name, which travels in its metadata. Where the API takes the id of an audience, a
//! file may have the filter itself: the saved audience that has it is taken, or one is made.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::client::Client;

/// The key of the metadata that names the file.
const FILE: &str = "file";

/// The key of a file that holds a filter in place of an audience.
const FILTER: &str = "filter";
const AUDIENCE: &str = "audience";

/// A file: its name and the campaign it describes.
pub type File = (String, Value);

/// Reads every file of a folder, in the order of their names.
pub fn read(folder: &Path) -> Result<Vec<File>, String> {
    let wrong = |e: &dyn std::fmt::Display| format!("{}: {e}; name another folder with --folder", folder.display());
    let mut paths: Vec<_> = std::fs::read_dir(folder).map_err(|e| wrong(&e))?.flatten().map(|e| e.path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "toml"));
    paths.sort();
    if paths.is_empty() {
        return Err(wrong(&"it holds no file that ends in .toml"));
    }
    paths.iter().map(|path| read_one(path)).collect()
}

fn read_one(path: &Path) -> Result<File, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let table: toml::Table = toml::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut plan = serde_json::to_value(table).map_err(|e| format!("{}: {e}", path.display()))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if let Some(map) = plan.as_object_mut() {
        let metadata = map.entry("metadata").or_insert_with(|| Map::new().into());
        metadata[FILE] = name.as_str().into();
    }
    Ok((name, plan))
}

/// What a file means for the campaign that is there.
enum Change<'c> {
    New,
    Same(&'c Value),
    Edited(&'c Value),
    Over(&'c Value),
}

/// Compares a file with the newest campaign made from it.
fn change<'c>(campaigns: &'c [Value], name: &str, plan: &Value) -> Change<'c> {
    let Some(known) = campaigns.iter().find(|c| c["metadata"][FILE] == name) else { return Change::New };
    // What the file does not say has the default, which the gateway shows.
    let same = plan.as_object().is_some_and(|map| map.iter().all(|(key, value)| known.get(key) == Some(value)));
    match known["state"].as_str() {
        _ if same => Change::Same(known),
        Some("completed" | "cancelled") => Change::Over(known),
        _ => Change::Edited(known),
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

impl Client {
    async fn campaigns(&self) -> Result<Vec<Value>, String> {
        let list = self.ask("GET", "/v1/campaigns", None).await?;
        Ok(list["data"].as_array().cloned().unwrap_or_default())
    }

    /// Puts the audience that has a file's filter in the filter's place; the id of one that was made for it.
    async fn resolve(&self, name: &str, plan: &mut Value) -> Result<Option<String>, String> {
        let Some(filter) = plan.as_object_mut().and_then(|map| map.remove(FILTER)) else { return Ok(None) };
        if plan.get(AUDIENCE).is_some() {
            return Err(format!("{name}: say `{AUDIENCE}` or `{FILTER}`, not both"));
        }
        let list = self.ask("GET", "/v1/audiences", None).await?;
        let known = list["data"].as_array().into_iter().flatten().find(|a| a[FILTER] == filter);
        if let Some(known) = known {
            plan[AUDIENCE] = text(known, "id").into();
            return Ok(None);
        }
        let body = json!({ "name": name, FILTER: filter });
        let made = self.ask("POST", "/v1/audiences", Some(&body)).await.map_err(|e| format!("{name}: {e}"))?;
        plan[AUDIENCE] = text(&made, "id").into();
        Ok(Some(text(&made, "id").to_owned()))
    }

    /// Prints what `apply` would do, and whom it would reach.
    pub async fn plan_campaigns(&self, files: Vec<File>) -> Result<(), String> {
        let campaigns = self.campaigns().await?;
        for (name, mut plan) in files {
            let made = self.resolve(&name, &mut plan).await?;
            let printed = self.plan_one(&campaigns, &name, &plan).await;
            if let Some(audience) = made {
                self.raw("DELETE", &format!("/v1/audiences/{audience}"), None, None).await?;
            }
            printed?;
        }
        Ok(())
    }

    async fn plan_one(&self, campaigns: &[Value], name: &str, plan: &Value) -> Result<(), String> {
        match change(campaigns, name, plan) {
            Change::Same(known) => say!("= {name}: {} as it is here", text(known, "state")),
            Change::Over(known) => say!("= {name}: {} already; a file of another name is another campaign", text(known, "state")),
            Change::Edited(known) => {
                say!("~ {name}: {} would be edited", text(known, "id"));
                for (key, value) in plan.as_object().into_iter().flatten().filter(|(k, v)| known.get(k.as_str()) != Some(v)) {
                    say!("    {key}: {} -> {value}", known.get(key).unwrap_or(&Value::Null));
                }
            }
            Change::New => {
                say!("+ {name}: would be launched");
                self.print_forecast(plan).await?;
            }
        }
        Ok(())
    }

    /// A draft is made for the forecast and taken away again: nothing of it is sent.
    async fn print_forecast(&self, plan: &Value) -> Result<(), String> {
        let draft = self.ask("POST", "/v1/campaigns", Some(plan)).await?;
        let path = format!("/v1/campaigns/{}", text(&draft, "id"));
        let forecast = self.ask("POST", &format!("{path}/forecast"), None).await;
        self.raw("DELETE", &path, None, None).await?;
        let forecast = forecast?;
        let n = |key: &str| forecast[key].as_u64().unwrap_or(0);
        say!("    {} people: {} messages, {} held out, {} not reached", n("people"), n("messages"), n("holdout"), n("unreachable"));
        say!("    {} do not want it, {} wait for quiet hours, {} for caps", n("suppressed"), n("quiet"), n("capped"));
        if let Some(end) = forecast["ends_at"].as_str() {
            say!("    from {} to {end}; {} would come too late", text(&forecast, "begins_at"), n("misses"));
        }
        if let Some(cost) = forecast["cost"].as_object() {
            let over = if forecast["over_budget"] == true { ", more than the budget" } else { "" };
            say!("    costs {} {}{over}", cost["amount"].as_str().unwrap_or_default(), cost["currency"].as_str().unwrap_or_default());
        }
        for problem in forecast["problems"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            say!("    problem: {problem}");
        }
        Ok(())
    }

    /// Launches what is new and edits what has changed.
    pub async fn apply_campaigns(&self, mut files: Vec<File>) -> Result<(), String> {
        let campaigns = self.campaigns().await?;
        for (name, plan) in &mut files {
            self.resolve(name, plan).await?;
            match change(&campaigns, name, plan) {
                Change::Same(known) if known["state"] != "draft" => say!("= {name}: {}", text(known, "state")),
                Change::Over(known) => say!("= {name}: {} already", text(known, "state")),
                Change::Same(known) => self.launch(name, known).await?,
                Change::New => {
                    let made = self.ask("POST", "/v1/campaigns", Some(plan)).await?;
                    self.launch(name, &made).await?;
                }
                Change::Edited(known) => {
                    let edited = self.ask("PUT", &format!("/v1/campaigns/{}", text(known, "id")), Some(plan)).await;
                    let edited = edited.map_err(|e| format!("{name}: {e}"))?;
                    say!("~ {name}: edited, {}", text(&edited, "state"));
                    if edited["state"] == "draft" {
                        self.launch(name, &edited).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn launch(&self, name: &str, campaign: &Value) -> Result<(), String> {
        let launched = self.ask("POST", &format!("/v1/campaigns/{}/launch", text(campaign, "id")), None).await;
        let launched = launched.map_err(|e| format!("{name}: {e}"))?;
        say!("+ {name}: {} is {}", text(&launched, "id"), text(&launched, "state"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_is_compared_with_its_campaign() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("spring.toml"), "name = \"Spring\"\naudience = \"aud_1\"\nchannels = [\"a\"]\n")
            .expect("written");
        let files = read(folder.path()).expect("a file");
        let (name, plan) = &files[0];
        assert_eq!((name.as_str(), &plan["metadata"]["file"]), ("spring", &json!("spring")));
        let mut known = plan.clone();
        known["state"] = "running".into();
        known["order"] = "preferred".into();
        let mut all = vec![known];
        assert!(matches!(change(&all, "spring", plan), Change::Same(_)));
        assert!(matches!(change(&all, "autumn", plan), Change::New));
        all[0]["name"] = "Other".into();
        assert!(matches!(change(&all, "spring", plan), Change::Edited(_)));
        all[0]["state"] = "completed".into();
        assert!(matches!(change(&all, "spring", plan), Change::Over(_)));
        assert!(read(&folder.path().join("nowhere")).is_err());
    }
}
