//! From the end of an upload to its record.

use super::engine::{Edge, Happening};
use super::judge::{Closed, Judge, TaskId, Verdict};
use super::task::{Stage, Task};
use enachi_proto::message::{Answer, Failure, Report};
use enachi_sim::runner::outcome;

impl<J: Judge> Edge<J> {
    /// Use nothing more of some uploads, and have them answered together.
    pub(super) fn close(&mut self, due: &[usize], now_s: f64) {
        let mut batch = Vec::with_capacity(due.len());
        for &index in due {
            let task = &mut self.tasks[index];
            let Stage::Uploading(evidence) = std::mem::replace(&mut task.stage, Stage::Judged)
            else {
                continue;
            };
            let id = task.id;
            let connected = self.connections.get_mut(&id.connection);
            let progress = connected.and_then(|c| c.session.close_upload(id.task));
            batch.push((index, evidence, progress.unwrap_or_default()));
        }
        let closed = |(index, evidence, progress): (usize, J::Evidence, _)| {
            let task: &Task<_> = &self.tasks[index];
            Some(Closed {
                id: task.id,
                situation: task.situation(&self.cell)?,
                evidence,
                progress,
                due_s: task.due_s(),
            })
        };
        let batch: Vec<_> = batch.into_iter().filter_map(closed).collect();
        if !batch.is_empty() {
            self.judge.submit(batch);
            self.verdicts(now_s);
        }
    }

    /// Give out the verdicts that are ready.
    pub fn verdicts(&mut self, now_s: f64) {
        while let Some((id, verdict)) = self.judge.verdict() {
            let Some(index) = self.tasks.iter().position(|t| t.id == id) else {
                continue;
            };
            let task = &self.tasks[index];
            match verdict {
                _ if !matches!(task.stage, Stage::Judged) => {}
                _ if task.is_late(now_s) => self.fail(index, "the tail did not end in time"),
                Ok(verdict) => self.answer(index, verdict, now_s),
                Err(detail) => self.fail(index, &detail),
            }
        }
    }

    fn answer(&mut self, index: usize, verdict: Verdict, now_s: f64) {
        let task = &mut self.tasks[index];
        let connected = self.connections.get_mut(&task.id.connection);
        if let Some(connected) = connected {
            let answer = Answer {
                task: task.id.task,
                top: verdict.top.clone(),
                entropy_nats: verdict.entropy_nats.max(0.0) as f32,
                chunks: verdict.chunks,
                bits: task.timeline.last().map_or(0, |seen| seen.bits),
                checkpoint: verdict.checkpoint as u32,
                batch_s: task.batch_s.max(0.0),
                tail_s: verdict.tail_s,
                failure: None,
            };
            let _ = connected.session.answer(answer);
        }
        self.happenings.push_back(Happening::Answered {
            device: task.device,
            task: task.id.task,
            frame: task.frame,
            class: verdict.top.first().map(|best| best.class),
        });
        task.stage = Stage::Ended;
        task.verdict = Some(verdict);
        task.answered_s = Some(now_s - task.began_s);
        let connection = task.id.connection;
        self.flush(connection);
        self.finish(index);
    }

    pub(super) fn fail(&mut self, index: usize, detail: &str) {
        let task = &mut self.tasks[index];
        // How late its tail will be is not known yet.
        self.cell.answered(task.device, 0.0, task.offer.deadline_s);
        task.stage = Stage::Ended;
        let (connection, device, number) = (task.id.connection, task.device, task.id.task);
        if let Some(connected) = self.connections.get_mut(&connection) {
            let _ = connected.session.answer(failed(number, Failure::Tail));
        }
        self.flush(connection);
        self.happenings.push_back(Happening::Failed {
            device,
            detail: format!("task {number}: {detail}"),
        });
        self.finish(index);
    }

    pub(super) fn reported(&mut self, connection: u64, device: usize, report: Report) {
        if let Err(why) = self.credible_report(device, &report) {
            return self.disbelieve(connection, why);
        }
        self.account(connection, device, report.account);
        let of = TaskId {
            connection,
            task: report.task,
        };
        let Some(index) = self.tasks.iter().position(|t| t.id == of) else {
            return;
        };
        let task = &mut self.tasks[index];
        let deadline_s = task.offer.deadline_s;
        // Its own clock counts for the device; after the deadline it takes no answer.
        let read_s = report.answered_s.filter(|read_s| *read_s <= deadline_s);
        task.report = Some(Report {
            answered_s: read_s,
            ..report
        });
        if matches!(task.stage, Stage::Judged) || task.answered_s.is_some() {
            let known_s = read_s.unwrap_or(deadline_s);
            let later_s = known_s.max(task.answered_s.unwrap_or(0.0));
            self.cell.answered(device, deadline_s - later_s, deadline_s);
        }
        if task.candidate.as_ref().is_some_and(|c| c.stream.is_some()) {
            let late_s = task.behind_s.unwrap_or(0.0);
            self.cell.arrived_late(device, late_s);
        }
        self.finish(index);
    }

    /// Write the record of a task that has ended at both sides.
    fn finish(&mut self, index: usize) {
        let task = &self.tasks[index];
        let (Some(report), true) = (task.report, matches!(task.stage, Stage::Ended)) else {
            return;
        };
        let situation = task.situation(&self.cell);
        let local = situation.filter(|s| s.candidate.stream.is_none());
        let local = local.and_then(|s| self.judge.local(&s));
        let name = &self.names[task.device];
        let done = task.done(&self.cell, self.options.seed, name, &report, local);
        let learnt = outcome(task.edge_s, task.offer.deadline_s, &done.record);
        if let Some(place) = self.planner.outcomes.get_mut(task.device) {
            *place = learnt;
        }
        if let Some(connected) = self.connections.get_mut(&task.id.connection) {
            connected.session.dismiss(task.id.task);
        }
        self.happenings.push_back(Happening::Done(Box::new(done)));
        self.tasks.swap_remove(index);
    }

    pub(super) fn unreported(&mut self, id: TaskId) {
        if let Some(index) = self.tasks.iter().position(|t| t.id == id) {
            let device = self.tasks[index].device;
            self.tasks.swap_remove(index);
            self.happenings.push_back(Happening::Unreported { device });
        }
    }

    /// Forget tasks whose devices have been silent for two deadlines after they ended.
    pub(super) fn sweep(&mut self, now_s: f64) {
        let silent = |t: &Task<_>| {
            matches!(t.stage, Stage::Ended) && now_s > t.began_s + 3.0 * t.offer.deadline_s
        };
        while let Some(index) = self.tasks.iter().position(silent) {
            let id = self.tasks[index].id;
            if let Some(connected) = self.connections.get_mut(&id.connection) {
                connected.session.dismiss(id.task);
            }
            self.unreported(id);
        }
    }
}

/// The end of a task without an answer.
pub(super) fn failed(task: u32, why: Failure) -> Answer {
    Answer {
        task,
        top: Vec::new(),
        entropy_nats: 0.0,
        chunks: 0,
        bits: 0,
        checkpoint: 0,
        batch_s: 0.0,
        tail_s: 0.0,
        failure: Some(why),
    }
}
