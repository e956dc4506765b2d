//! The texts of refusals, pages and the page script, in the languages that human-check knows.

/// One text for visitors.
///
/// [`as_str`](Self::as_str) is the name by which the configuration replaces it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Text {
    /// Verification required
    ChallengeRequiredTitle,
    /// Verification not understood
    InvalidTokenTitle,
    /// Verification failed
    VerificationFailedTitle,
    /// Verification unavailable
    VerificationUnavailableTitle,
    /// Internal error
    MisconfiguredTitle,
    /// Request too large
    BodyTooLargeTitle,
    /// Request too slow
    BodyTooSlowTitle,
    /// Already submitted
    AlreadySubmittedTitle,
    /// Too many uploads
    TooManyUploadsTitle,
    /// Please complete the verification and try again.
    ChallengeDetail,
    /// The verification cannot be completed right now. Please try again in a moment.
    VerificationUnavailableDetail,
    /// The server has an internal problem. Please try again later.
    MisconfiguredDetail,
    /// Please send less data at once.
    BodyTooLargeDetail,
    /// Please try again.
    BodyTooSlowDetail,
    /// This form was sent twice at the same time. The first request is being processed.
    AlreadySubmittedDetail,
    /// The server receives too many uploads right now. Please try again in a moment.
    TooManyUploadsDetail,
    /// Continue
    PageContinue,
    /// Go back to the previous page. What you typed is usually still there.
    PageBack,
    /// If there is nothing to solve here, go back to the previous page. What you typed is usually still there.
    PageNothingToSolve,
    /// JavaScript is needed to complete the human check.
    PageNoscript,
    /// Verification
    ScriptTitle,
    /// The verification is loading.
    ScriptLoading,
    /// The verification loads once you allow it on this page.
    ScriptConsent,
    /// Please complete the verification.
    ScriptSolve,
    /// The verification is complete.
    ScriptDone,
    /// The verification could not be loaded. Check your connection and content blockers.
    ScriptFailed,
    /// Try again
    ScriptRetry,
    /// Cancel
    ScriptCancel,
}

impl Text {
    /// All texts.
    pub const ALL: [Self; 28] = [
        Self::ChallengeRequiredTitle,
        Self::InvalidTokenTitle,
        Self::VerificationFailedTitle,
        Self::VerificationUnavailableTitle,
        Self::MisconfiguredTitle,
        Self::BodyTooLargeTitle,
        Self::BodyTooSlowTitle,
        Self::AlreadySubmittedTitle,
        Self::TooManyUploadsTitle,
        Self::ChallengeDetail,
        Self::VerificationUnavailableDetail,
        Self::MisconfiguredDetail,
        Self::BodyTooLargeDetail,
        Self::BodyTooSlowDetail,
        Self::AlreadySubmittedDetail,
        Self::TooManyUploadsDetail,
        Self::PageContinue,
        Self::PageBack,
        Self::PageNothingToSolve,
        Self::PageNoscript,
        Self::ScriptTitle,
        Self::ScriptLoading,
        Self::ScriptConsent,
        Self::ScriptSolve,
        Self::ScriptDone,
        Self::ScriptFailed,
        Self::ScriptRetry,
        Self::ScriptCancel,
    ];

    /// Returns the text in English, as human-check has it.
    pub fn english(self) -> &'static str {
        LANGUAGES[0].1[self as usize]
    }

    /// Returns the text with this name. `None` if there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|text| text.as_str() == name)
    }

    /// Returns the name, such as `challenge-required.title`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChallengeRequiredTitle => "challenge-required.title",
            Self::InvalidTokenTitle => "invalid-token.title",
            Self::VerificationFailedTitle => "verification-failed.title",
            Self::VerificationUnavailableTitle => "verification-unavailable.title",
            Self::MisconfiguredTitle => "misconfigured.title",
            Self::BodyTooLargeTitle => "body-too-large.title",
            Self::BodyTooSlowTitle => "body-too-slow.title",
            Self::AlreadySubmittedTitle => "already-submitted.title",
            Self::TooManyUploadsTitle => "too-many-uploads.title",
            Self::ChallengeDetail => "challenge.detail",
            Self::VerificationUnavailableDetail => "verification-unavailable.detail",
            Self::MisconfiguredDetail => "misconfigured.detail",
            Self::BodyTooLargeDetail => "body-too-large.detail",
            Self::BodyTooSlowDetail => "body-too-slow.detail",
            Self::AlreadySubmittedDetail => "already-submitted.detail",
            Self::TooManyUploadsDetail => "too-many-uploads.detail",
            Self::PageContinue => "page.continue",
            Self::PageBack => "page.back",
            Self::PageNothingToSolve => "page.nothing-to-solve",
            Self::PageNoscript => "page.noscript",
            Self::ScriptTitle => "script.title",
            Self::ScriptLoading => "script.loading",
            Self::ScriptConsent => "script.consent",
            Self::ScriptSolve => "script.solve",
            Self::ScriptDone => "script.done",
            Self::ScriptFailed => "script.failed",
            Self::ScriptRetry => "script.retry",
            Self::ScriptCancel => "script.cancel",
        }
    }
}

/// The languages, each with its texts in the order of [`Text::ALL`]. English is the first.
pub(super) static LANGUAGES: [(&str, [&str; 28]); 7] = [
    (
        "en",
        [
            "Verification required",
            "Verification not understood",
            "Verification failed",
            "Verification unavailable",
            "Internal error",
            "Request too large",
            "Request too slow",
            "Already submitted",
            "Too many uploads",
            "Please complete the verification and try again.",
            "The verification cannot be completed right now. Please try again in a moment.",
            "The server has an internal problem. Please try again later.",
            "Please send less data at once.",
            "Please try again.",
            "This form was sent twice at the same time. The first request is being processed.",
            "The server receives too many uploads right now. Please try again in a moment.",
            "Continue",
            "Go back to the previous page. What you typed is usually still there.",
            "If there is nothing to solve here, go back to the previous page. What you typed is usually still there.",
            "JavaScript is needed to complete the human check.",
            "Verification",
            "The verification is loading.",
            "The verification loads once you allow it on this page.",
            "Please complete the verification.",
            "The verification is complete.",
            "The verification could not be loaded. Check your connection and content blockers.",
            "Try again",
            "Cancel",
        ],
    ),
    (
        "de",
        [
            "Überprüfung erforderlich",
            "Überprüfung nicht verstanden",
            "Überprüfung fehlgeschlagen",
            "Überprüfung nicht verfügbar",
            "Interner Fehler",
            "Anfrage zu groß",
            "Anfrage zu langsam",
            "Bereits gesendet",
            "Zu viele Uploads",
            "Bitte schließen Sie die Überprüfung ab und versuchen Sie es erneut.",
            "Die Überprüfung ist im Moment nicht möglich. Bitte versuchen Sie es gleich noch einmal.",
            "Der Server hat ein internes Problem. Bitte versuchen Sie es später noch einmal.",
            "Bitte senden Sie weniger Daten auf einmal.",
            "Bitte versuchen Sie es noch einmal.",
            "Dieses Formular wurde zweimal gleichzeitig gesendet. Die erste Anfrage wird bearbeitet.",
            "Der Server empfängt im Moment zu viele Uploads. Bitte versuchen Sie es gleich noch einmal.",
            "Weiter",
            "Gehen Sie zurück zur vorherigen Seite. Ihre Eingaben sind meist noch da.",
            "Wenn hier nichts zu lösen ist, gehen Sie zurück zur vorherigen Seite. Ihre Eingaben sind meist noch da.",
            "Für die Überprüfung wird JavaScript benötigt.",
            "Überprüfung",
            "Die Überprüfung wird geladen.",
            "Die Überprüfung wird geladen, sobald Sie es auf dieser Seite erlauben.",
            "Bitte schließen Sie die Überprüfung ab.",
            "Die Überprüfung ist abgeschlossen.",
            "Die Überprüfung konnte nicht geladen werden. Prüfen Sie Ihre Verbindung und Ihre Inhaltsblocker.",
            "Erneut versuchen",
            "Abbrechen",
        ],
    ),
    (
        "es",
        [
            "Verificación necesaria",
            "Verificación no comprendida",
            "Verificación fallida",
            "Verificación no disponible",
            "Error interno",
            "Solicitud demasiado grande",
            "Solicitud demasiado lenta",
            "Ya enviado",
            "Demasiadas subidas",
            "Complete la verificación e inténtelo de nuevo.",
            "La verificación no es posible en este momento. Inténtelo de nuevo en un momento.",
            "El servidor tiene un problema interno. Inténtelo más tarde.",
            "Envíe menos datos a la vez.",
            "Inténtelo de nuevo.",
            "Este formulario se envió dos veces a la vez. Se está procesando la primera solicitud.",
            "El servidor recibe demasiadas subidas en este momento. Inténtelo de nuevo en un momento.",
            "Continuar",
            "Vuelva a la página anterior. Normalmente lo que escribió sigue ahí.",
            "Si aquí no hay nada que resolver, vuelva a la página anterior. Normalmente lo que escribió sigue ahí.",
            "Se necesita JavaScript para completar la verificación.",
            "Verificación",
            "La verificación se está cargando.",
            "La verificación se carga cuando usted la permita en esta página.",
            "Complete la verificación.",
            "La verificación está completa.",
            "No se pudo cargar la verificación. Compruebe su conexión y sus bloqueadores de contenido.",
            "Intentar de nuevo",
            "Cancelar",
        ],
    ),
    (
        "fr",
        [
            "Vérification requise",
            "Vérification non comprise",
            "Échec de la vérification",
            "Vérification indisponible",
            "Erreur interne",
            "Requête trop volumineuse",
            "Requête trop lente",
            "Déjà envoyé",
            "Trop d’envois de fichiers",
            "Veuillez effectuer la vérification, puis réessayer.",
            "La vérification est impossible pour le moment. Veuillez réessayer dans un instant.",
            "Le serveur rencontre un problème interne. Veuillez réessayer plus tard.",
            "Veuillez envoyer moins de données à la fois.",
            "Veuillez réessayer.",
            "Ce formulaire a été envoyé deux fois en même temps. La première requête est en cours de traitement.",
            "Le serveur reçoit trop de fichiers pour le moment. Veuillez réessayer dans un instant.",
            "Continuer",
            "Revenez à la page précédente. Votre saisie s’y trouve généralement encore.",
            "S’il n’y a rien à résoudre ici, revenez à la page précédente. Votre saisie s’y trouve généralement encore.",
            "JavaScript est nécessaire pour effectuer la vérification.",
            "Vérification",
            "La vérification est en cours de chargement.",
            "La vérification se charge dès que vous l’autorisez sur cette page.",
            "Veuillez effectuer la vérification.",
            "La vérification est terminée.",
            "La vérification n’a pas pu être chargée. Vérifiez votre connexion et vos bloqueurs de contenu.",
            "Réessayer",
            "Annuler",
        ],
    ),
    (
        "pt",
        [
            "Verificação necessária",
            "Verificação não compreendida",
            "Falha na verificação",
            "Verificação indisponível",
            "Erro interno",
            "Pedido demasiado grande",
            "Pedido demasiado lento",
            "Já enviado",
            "Demasiados envios",
            "Conclua a verificação e tente novamente.",
            "A verificação não é possível neste momento. Tente novamente dentro de instantes.",
            "O servidor tem um problema interno. Tente novamente mais tarde.",
            "Envie menos dados de uma vez.",
            "Tente novamente.",
            "Este formulário foi enviado duas vezes ao mesmo tempo. O primeiro pedido está a ser processado.",
            "O servidor está a receber demasiados envios. Tente novamente dentro de instantes.",
            "Continuar",
            "Volte à página anterior. Normalmente, o que escreveu ainda lá está.",
            "Se não houver nada para resolver aqui, volte à página anterior. Normalmente, o que escreveu ainda lá está.",
            "É necessário JavaScript para concluir a verificação.",
            "Verificação",
            "A verificação está a carregar.",
            "A verificação carrega assim que a permitir nesta página.",
            "Conclua a verificação.",
            "A verificação está concluída.",
            "Não foi possível carregar a verificação. Verifique a ligação e os bloqueadores de conteúdo.",
            "Tentar novamente",
            "Cancelar",
        ],
    ),
    (
        "zh",
        [
            "需要验证",
            "无法识别验证",
            "验证失败",
            "验证不可用",
            "内部错误",
            "请求过大",
            "请求过慢",
            "已提交",
            "上传过多",
            "请完成验证后重试。",
            "目前无法完成验证，请稍后重试。",
            "服务器出现内部问题，请稍后重试。",
            "请减少一次发送的数据量。",
            "请重试。",
            "此表单被同时提交了两次，正在处理第一次提交。",
            "服务器当前接收的上传过多，请稍后重试。",
            "继续",
            "请返回上一页。您输入的内容通常仍在那里。",
            "如果这里没有可完成的内容，请返回上一页。您输入的内容通常仍在那里。",
            "完成验证需要 JavaScript。",
            "验证",
            "正在加载验证。",
            "您在此页面允许后，验证才会加载。",
            "请完成验证。",
            "验证已完成。",
            "无法加载验证。请检查网络连接和内容拦截器。",
            "重试",
            "取消",
        ],
    ),
    (
        "ja",
        [
            "確認が必要です",
            "確認を処理できません",
            "確認に失敗しました",
            "確認を利用できません",
            "内部エラー",
            "リクエストが大きすぎます",
            "リクエストが遅すぎます",
            "送信済みです",
            "アップロードが多すぎます",
            "確認を完了して、もう一度お試しください。",
            "現在、確認を完了できません。しばらくしてからもう一度お試しください。",
            "サーバーに内部の問題があります。後でもう一度お試しください。",
            "一度に送るデータを減らしてください。",
            "もう一度お試しください。",
            "このフォームは同時に二回送信されました。最初の送信を処理しています。",
            "現在、サーバーへのアップロードが多すぎます。しばらくしてからもう一度お試しください。",
            "続ける",
            "前のページに戻ってください。入力した内容は通常残っています。",
            "ここに解くものがない場合は、前のページに戻ってください。入力した内容は通常残っています。",
            "確認を完了するには JavaScript が必要です。",
            "確認",
            "確認を読み込んでいます。",
            "このページで許可すると、確認が読み込まれます。",
            "確認を完了してください。",
            "確認が完了しました。",
            "確認を読み込めませんでした。接続とコンテンツブロッカーを確認してください。",
            "もう一度試す",
            "キャンセル",
        ],
    ),
];
