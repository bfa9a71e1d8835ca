"""The tests that concern each enforcing module, the fastest to fail first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Concern:
    """The tests that can kill a mutant.

    ``tests`` are files of pytest, or single tests, below ``tests/``. ``attacks`` are groups of the
    catalogue, of which some are run, or single attacks; they run guarded only. ``mutants`` is how
    many mutants of the module are run unless told otherwise.
    """

    tests: tuple[str, ...]
    attacks: tuple[str, ...] = ()
    mutants: int = 8


READERS = ("unit/integrity", "unit/plugins/test_loader.py")
IMPORTS = ("integration/test_import_forms.py", "integration/test_strict.py")
PROTOCOL = ("conformance/test_import_protocols.py",)
LOADS = ("unit/plugins/test_loader.py", "unit/plugins/test_registry.py")
TRUST = ("unit/trust", "integration/test_trust.py")

CONCERNS: dict[str, Concern] = {
    "files": Concern(("unit/test_files.py", "unit/integrity/test_lock.py"), ("lock",), 10),
    "hashing": Concern(("unit/test_hashing.py", "conformance/test_vectors.py"), (), 12),
    "writing": Concern(("unit/test_writing.py", "integration/test_writers.py"), (), 14),
    "folder_lock": Concern(("unit/test_folder_lock.py", "integration/test_writers.py"), (), 6),
    "folder_problems": Concern(("unit/test_guarded_folder.py", "integration/test_settings.py")),
    "guarded_folder": Concern(("unit/test_guarded_folder.py", "integration/test_settings.py")),
    "log_target": Concern(("unit/test_log_target.py", "integration/test_event_log.py"), (), 4),
    "types.parsers": Concern(("unit/types", "unit/integrity/test_lock.py"), ("lock",), 8),
    "parsers.safe_json": Concern(
        ("unit/parsers/test_safe_json.py", "unit/integrity/test_lock.py", "fuzz"), ("lock",), 20
    ),
    "parsers.safe_yaml": Concern(
        ("unit/parsers/test_safe_yaml.py", "unit/plugins/test_manifest.py", "fuzz"), (), 14
    ),
    "parsers.yaml_scalars": Concern(
        ("unit/parsers/test_safe_yaml.py", "property/test_yaml_json.py"), (), 4
    ),
    "integrity.walk": Concern(("unit/integrity/test_walk.py", *READERS), ("tree", "entries"), 24),
    "integrity.lock": Concern(("unit/integrity/test_lock.py",), ("lock",), 8),
    "integrity.file_list": Concern(("unit/integrity/test_file_list.py", "fuzz"), (), 12),
    "integrity.large_files": Concern(("unit/integrity/test_walk.py", *READERS), ("tree",), 8),
    "integrity.reading": Concern(
        ("unit/integrity/test_reading.py", *READERS), ("timing", "tree"), 12
    ),
    "integrity.verification": Concern(
        ("unit/integrity/test_verification.py", *READERS), ("tree", "entries", "lock"), 14
    ),
    "integrity.verified_tree": Concern(
        ("unit/integrity/test_verified_tree.py", "unit/integrity/test_reading.py", *READERS),
        ("tree", "timing"),
        6,
    ),
    "integrity.packs": Concern(
        ("unit/integrity/test_packs.py", "integration/test_bytecode.py"),
        ("trust/forged-pack", "packs", "bytecode"),
        24,
    ),
    "integrity.code_objects": Concern(
        ("unit/integrity/test_code_objects.py", "conformance/test_compilation.py"), (), 20
    ),
    "trust.ed25519": Concern(("unit/trust",), (), 20),
    "trust.base64_text": Concern(("unit/trust",), (), 6),
    "trust.evidence": Concern(TRUST, ("trust",), 12),
    "trust.policy": Concern(TRUST, ("trust",), 20),
    "trust.sshsig": Concern(TRUST, ("trust",), 20),
    "trust.statement": Concern(TRUST, ("trust",), 16),
    "trust.times": Concern(TRUST, ("trust",), 6),
    "trust.accepted": Concern(("unit/trust", "integration/test_rollback.py"), ("trust",), 8),
    "trust.beside": Concern(("unit/trust", "integration/test_trust.py"), ("trust",), 4),
    "trust.pinned": Concern(TRUST, ("trust",), 8),
    "trust.trusted_lock": Concern(TRUST, ("trust",), 6),
    "trust.vouching": Concern(TRUST, ("trust",), 24),
    "_start": Concern(
        ("unit/start", "unit/enforce/test_interpreter.py", *IMPORTS), ("displacement", "absent"), 12
    ),
    "_start.audit_hook": Concern(
        (
            "unit/start",
            "integration/test_strict.py",
            "integration/test_several_folders.py::test_names_that_are_not_pinned_come_from_the_lock",
            "integration/test_distributions.py"
            "::test_entry_points_that_change_in_between_are_refused",
        ),
        ("path", "bytecode", "displacement", "scripts", "primitives"),
        32,
    ),
    "_start.checks": Concern(
        ("unit/start", "integration/test_strict.py"),
        (
            "displacement/zip-load-module",
            "path",
            "bytecode",
            "displacement",
            "scripts",
            "primitives",
        ),
        24,
    ),
    "_start.file_checks": Concern(
        (
            "unit/start",
            "integration/test_strict.py",
            "integration/test_libraries.py",
            "integration/test_bytecode.py::test_a_program_that_knows_marshal_may_write_bytecode",
            "integration/test_loading_by_path.py"
            "::test_bytecode_prefix_in_the_folder_does_not_keep_the_guard_from_loading",
            "integration/test_distributions.py"
            "::test_entry_points_that_change_in_between_are_refused",
        ),
        ("bytecode", "scripts", "libraries"),
        12,
    ),
    "_start.shutdown": Concern(
        ("unit/start", "integration/test_strict.py"),
        (
            "displacement/at-the-end",
            "displacement/at-the-end-before-any-plugin",
            "displacement/at-the-end-by-a-link",
            "displacement/at-the-end-of-a-data-file",
            "displacement/at-the-end-under-a-plugins-name",
            "displacement/at-the-end-under-a-plugins-name-elsewhere",
            "displacement/at-the-end-of-bytecode",
            "libraries/by-name-at-the-end",
            "path",
            "timing",
        ),
        12,
    ),
    "_start.finder": Concern(
        (
            "unit/start",
            "integration/test_startup.py"
            "::test_only_modules_of_codegenie_are_added_to_a_bare_interpreter",
            "integration/test_several_folders.py"
            "::test_only_what_is_locked_is_guarded_in_a_shared_folder",
            *IMPORTS,
        ),
        ("displacement", "precedence", "several", "absent"),
        30,
    ),
    "_start.loaders": Concern(
        ("unit/start", *PROTOCOL, *IMPORTS), ("absent", "lazy", "precedence"), 8
    ),
    "_start.deferring": Concern(("unit/start", *PROTOCOL, *IMPORTS), ("lazy", "path"), 6),
    "_start.own_modules": Concern(("unit/start", *IMPORTS), ("displacement", "absent"), 8),
    "_start.folder_paths": Concern(("unit/start",), ("path/bind-mount", "path", "several"), 16),
    "_enforce.absence": Concern((*PROTOCOL, *IMPORTS), ("absent", "precedence"), 4),
    "_enforce.audit_mode": Concern(
        ("unit/enforce/test_audit_mode.py", "integration/test_modes.py"), ("settings",), 8
    ),
    "_enforce.elf": Concern(("unit/enforce/test_elf.py", "fuzz"), ("libraries",), 12),
    "_enforce.enforcer": Concern(
        (
            "unit/enforce/test_enforcer.py",
            "integration/test_modes.py",
            "integration/test_folders_on_the_path.py",
            "integration/test_units.py",
            *IMPORTS,
        ),
        ("tree", "entries", "timing", "settings", "several"),
        32,
    ),
    "_enforce.pinned_lock": Concern(
        ("unit/enforce/test_pinned_lock.py", "integration/test_trust.py"), ("trust",), 16
    ),
    "_enforce.event_log": Concern(("integration/test_event_log.py",), (), 8),
    "_enforce.executions": Concern(
        (
            "unit/enforce/test_executions.py",
            "unit/start/test_own_modules.py"
            "::test_first_guarded_import_searches_for_no_module_of_the_guard",
            "integration/test_showing_source.py",
            "integration/test_strict.py",
        ),
        (
            "several/verified-under-a-name-of-another-folder",
            "displacement/own-execution",
            "displacement/traced-exec-module",
            "displacement/traced-under-another-name-and-origin",
            "path",
            "bytecode",
        ),
        10,
    ),
    "_enforce.extensions": Concern(("integration/test_extensions.py",), ("libraries",), 6),
    "_enforce.file_specs": Concern(("integration/test_loading_by_path.py",), (), 4),
    "_enforce.folders": Concern(
        ("integration/test_folders_on_the_path.py",), ("path", "vendored"), 12
    ),
    "_enforce.folder_state": Concern(
        (*IMPORTS, "integration/test_several_folders.py"), ("several",), 6
    ),
    "_enforce.identities": Concern(("unit/enforce/test_identities.py",), (), 4),
    "_enforce.interpreter": Concern(
        ("unit/enforce/test_interpreter.py", "integration/test_unsupported_interpreters.py"), (), 8
    ),
    "_enforce.lazy_imports": Concern(
        ("unit/enforce/test_lazy_imports.py", "integration/test_lazy_imports.py"), ("lazy",), 4
    ),
    "_enforce.libraries": Concern(
        ("integration/test_libraries.py",),
        ("libraries/appears-before-the-systems", "libraries"),
        20,
    ),
    "_enforce.library_loads": Concern(("integration/test_libraries.py",), ("libraries",), 12),
    "_enforce.loaded_objects": Concern(
        ("unit/enforce/test_loaded_objects.py", "integration/test_libraries.py"), ("libraries",), 6
    ),
    "_enforce.loaders": Concern(IMPORTS, ("timing", "packs", "bytecode"), 16),
    "_enforce.names": Concern(("unit/enforce/test_names.py", *IMPORTS), ("precedence",), 6),
    "_enforce.packages": Concern((*PROTOCOL, *IMPORTS), ("precedence", "path"), 6),
    "_enforce.package_loaders": Concern((*PROTOCOL, *IMPORTS), ("precedence", "path"), 4),
    "_enforce.pkg_resources_provider": Concern(("integration/test_folders_on_the_path.py",), (), 4),
    "_enforce.private_copies": Concern(
        ("integration/test_extensions.py", "integration/test_libraries.py"), ("libraries",), 8
    ),
    "_enforce.refusal_report": Concern(
        (
            "unit/enforce/test_refusal_report.py",
            "integration/test_reporting.py",
            "integration/test_explained_refusals.py",
        ),
        (),
        6,
    ),
    "_enforce.report": Concern(("integration/test_reporting.py",), (), 6),
    "_enforce.resources": Concern(
        ("unit/enforce/test_resources.py", *PROTOCOL, "integration/test_import_forms.py"),
        ("tree", "timing"),
        10,
    ),
    "_enforce.search_paths": Concern(
        ("unit/enforce/test_search_paths.py", "integration/test_libraries.py"), (), 10
    ),
    "_enforce.set_up": Concern(
        (
            "integration/test_several_folders.py",
            "integration/test_trust.py::test_floor_of_an_added_folder_is_kept",
            "integration/test_pinned.py",
            *IMPORTS,
        ),
        ("settings",),
        10,
    ),
    "_enforce.settings": Concern(("integration/test_settings.py",), ("settings",), 8),
    "_enforce.specs": Concern(IMPORTS, ("precedence", "bytecode"), 6),
    "_enforce.strict": Concern(
        (
            "integration/test_units.py::test_an_intact_single_file_runs_by_its_path",
            "integration/test_strict.py",
            "integration/test_showing_source.py",
        ),
        (
            "displacement/spec-with-guarded-name",
            "displacement/at-the-end",
            "displacement/at-the-end-under-a-plugins-name",
            "displacement/extension-exchanged",
            "displacement/extension-with-guarded-name",
            "displacement/file-of-the-root",
            "units/changed-by-path",
            "path",
            "bytecode",
            "scripts",
            "vendored",
        ),
        32,
    ),
    "_enforce.status": Concern(
        (
            "unit/enforce/test_status.py",
            "integration/test_several_folders.py",
            "integration/test_reporting.py",
            "integration/test_modes.py",
            "integration/test_trust.py::test_a_signed_lock_is_accepted",
        ),
        ("settings",),
        6,
    ),
    "plugins.guard": Concern(
        (
            "integration/test_trust.py::test_floor_of_an_added_folder_is_kept",
            "integration/test_pinned.py",
            "integration/test_several_folders.py",
            "integration/test_loading_by_path.py",
            *IMPORTS,
        ),
        ("trust/rewritten-lock", "settings"),
        12,
    ),
    "plugins.loader": Concern(("unit/plugins/test_loader.py",), ("tree", "settings"), 14),
    "plugins.lockfile": Concern(("unit/plugins/test_lockfile.py",), (), 4),
    "plugins.manifest": Concern(("unit/plugins/test_manifest.py", "fuzz"), (), 4),
    "plugins.registry": Concern(("unit/plugins/test_registry.py", *LOADS), (), 8),
    "plugins.verifiers": Concern(LOADS, (), 4),
    "plugins._transaction": Concern((*LOADS, "integration/test_modes.py"), ("swallowed",), 6),
    "plugins._walks": Concern(LOADS, (), 4),
    "activation.stub": Concern(
        ("unit/activation/test_stub.py", "integration/test_activation_failures.py"), (), 8
    ),
}

NOT_MUTATED = {
    "_enforce.access": "a type, which only type checkers read",
    "trust.library_process": "decides nothing at a start, and its tests need other libraries",
    "trust.other_keys": "runs in a process of its own, with a library that few environments have",
    "trust.sigstore_bundles": "runs in a process of its own, with a library that few have",
}
"""The other modules of the enforcing packages, each with the reason."""
