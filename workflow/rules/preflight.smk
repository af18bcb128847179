# Checks of a node, which run as a job. To run the job, name its target: it is not part of `all`.
rule preflight:
    output:
        f"{RESULTS}/{layout.PREFLIGHT}",
    log:
        LOGS["preflight"],
    benchmark:
        BENCHMARKS["preflight"]
    # No retries, since the same node would give the same result again.
    retries: 0
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    script:
        "../scripts/preflight.py"
