"""A Snakemake executor whose jobs take no time: each job makes empty output files.

Snakemake finds this executor by `--executor instant` if the folder `benchmarks` is on PYTHONPATH.
Snakemake prepares, registers, checks and records these jobs in the same way as jobs of a cluster.
"""

from pathlib import Path

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.real import RealExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings, ExecMode

common_settings = CommonSettings(
    non_local_exec=True, implies_no_shared_fs=False, job_deploy_sources=False
)


class Executor(RealExecutor):
    def run_job(self, job):
        info = SubmittedJobInfo(job=job)
        self.report_job_submission(info)
        for file in job.output:
            path = Path(file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(exist_ok=True) if file.is_directory else path.touch()
        for file in (*job.log, *([job.benchmark] if job.benchmark else [])):
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            Path(file).touch()
        self.report_job_success(info)

    def cancel(self):
        pass

    def shutdown(self):
        pass

    @property
    def cores(self):
        return "all"

    def get_exec_mode(self):
        return ExecMode.REMOTE

    def get_python_executable(self):
        raise NotImplementedError
